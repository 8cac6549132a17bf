// What a reader does with an unpacked export, in a real browser over file://.
//
// node pages.mjs <directory> <entry page> <lines of the JSON export> <fold.json>
import assert from "node:assert/strict";
import fs from "node:fs";
import { address, launch, serious, watched } from "./browser.mjs";

const [directory, entry, lines, folds] = process.argv.slice(2);
const messages = fs.readFileSync(lines, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const browser = await launch();
const faults = [];
const checks = [];
const check = (name, run) => checks.push([name, run]);

const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, colorScheme: "light", locale: "en-GB" });
const page = await watched(context, directory, faults);
const open = (name = entry, fragment = "") => page.goto(address(directory, name, fragment));
const here = () => decodeURIComponent(new URL(page.url()).pathname.split("/").pop());
const link = (text) => page.locator("nav a").filter({ hasText: text }).first();
const follow = async (link) => {
  const href = await link.evaluate((one) => one.href);
  await link.click();
  await link.page().waitForURL(href);
};

/** The message that the address names is there and on the screen. */
const arrived = async (id, on = page) => {
  const target = on.locator(":target");
  assert.equal(await target.getAttribute("id"), `m-${id}`);
  await target.waitFor({ state: "visible" });
  assert.ok(await target.evaluate((one) => {
    const { top, bottom } = one.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  }), `${id} is not on the screen`);
};

// What a reader does in the same way with script and without.

/** From the first message of a long thread to its page, to a reply in the room, and back to the thread. */
const throughLongThread = async (on) => {
  await on.goto(address(directory, entry, "m-longRoot"));
  const replies = on.locator("#m-longRoot details.thread");
  assert.match(await replies.locator("summary").textContent(), /^60 replies/);
  await replies.locator("summary").click();
  assert.equal(await replies.locator("ol a").count(), 5);
  await follow(replies.locator("a").filter({ hasText: "All 60 replies" }));
  assert.match(on.url(), /-thread-1\.html$/);
  const thread = on.url();
  assert.equal(await on.locator("article").count(), 61);
  assert.equal(await on.locator("article").first().getAttribute("id"), "m-longRoot");
  assert.match(await on.locator("h1").textContent(), /novel/);
  const reply = on.locator("#m-longReply42");
  await follow(reply.locator("a").filter({ hasText: "In the room" }));
  assert.match(on.url(), /-\d+\.html#m-longReply42$/);
  await arrived("longReply42", on);
  assert.match(await on.locator(":target").textContent(), /chapter 42/);
  await follow(on.locator(":target a").filter({ hasText: "whole thread" }));
  assert.equal(on.url(), thread);
  await follow(on.locator("#m-longRoot a").filter({ hasText: "In the room" }));
  await arrived("longRoot", on);
};

/** From the entry page to the calendar, and from there to days on the first page and on the last. */
const throughCalendar = async (on) => {
  for (const day of ["2016-01-05", "2020-01-03"]) {
    await on.goto(address(directory, entry));
    await on.locator("nav.months summary").click();
    await follow(on.locator("nav.months a").filter({ hasText: "Calendar" }));
    assert.match(on.url(), /-calendar\.html$/);
    assert.equal(await on.locator("h1").textContent(), "Calendar");
    const cell = on.locator(`main.calendar td a[href$='#d-${day}']`);
    assert.equal(await cell.textContent(), String(Number(day.slice(-2))));
    assert.match(await cell.getAttribute("title"), /^\d+ messages?$/);
    await follow(cell);
    const heading = on.locator("h2:target");
    await heading.waitFor({ state: "visible" });
    assert.equal(await heading.locator("time").first().getAttribute("datetime"), day);
    assert.ok(await heading.evaluate((one) => one.getBoundingClientRect().top < innerHeight));
  }
};

const throughQuotes = async (on) => {
  const last = messagePage("quoteFar");
  for (const [id, of] of [["quoteFar", "zebra"], ["quoteNear", "longReply05"]]) {
    await on.goto(address(directory, last, `m-${id}`));
    const quote = on.locator(`#m-${id}`);
    await follow(quote.locator("blockquote.quote a:has(time)"));
    await arrived(of, on);
    assert.match(on.url(), new RegExp(`#m-${of}$`));
    // The link that made the quote says nothing that the quote does not.
    await on.goto(address(directory, last, `m-${id}`));
    assert.equal(await quote.locator("a[href^='https:']").count(), 0);
  }
  const elsewhere = on.locator("#m-quoteElsewhere blockquote.quote a:has(time)");
  assert.match(await elsewhere.getAttribute("href"), /^https:.*msg=notHere$/);
};

/** The page of the room that a message stands on. */
const messagePage = (id) => fs.readdirSync(directory).find((name) => name.endsWith(".html") && !name.includes("-thread-")
  && fs.readFileSync(`${directory}/${name}`, "utf8").includes(`id="m-${id}"`));

/** Types a search and gives its count, and the ids of the messages that its first results lead to. */
const search = async ({ text = "", author = "", from = "", to = "", order = "newest" }) => {
  await page.locator("#search").focus();
  await page.locator("#search-author").waitFor();
  const turn = await page.evaluate(() => document.getElementById("search-panel").dataset.turn ?? "0");
  await page.evaluate((values) => {
    for (const [id, value] of Object.entries(values)) {
      document.getElementById(id).value = value;
    }
    document.getElementById("search").dispatchEvent(new Event("input"));
  }, { search: text, "search-author": author, "search-from": from, "search-to": to, "search-order": order });
  await page.waitForFunction((before) => Number(document.getElementById("search-panel").dataset.turn ?? 0) > Number(before), turn);
  const status = await page.locator("#search-panel [role=status]").textContent();
  const count = status.startsWith("No message") ? 0 : Number(status.replaceAll(",", "").match(/^\d+/)?.[0]);
  const results = await page.locator("#search-panel ol a").evaluateAll((all) => all.map((one) => ({
    href: one.getAttribute("href"), text: one.querySelector(".said").textContent,
    marks: [...one.querySelectorAll("mark")].map((mark) => mark.textContent),
  })));
  return { count, results };
};

/** The words of a text, in another way than the export's. */
const plain = (text) => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
const having = (test) => messages.filter((message) => !message.type && test(plain(message.msg), message)).map((message) => message._id);

check("the entry page opens", async () => {
  await open();
  assert.equal(await page.locator("h1").count(), 1);
  assert.ok(await page.locator("article.m").count() > 0);
});

check("pages lead to each other", async () => {
  await open();
  const seen = new Set([here()]);
  while (await link("Next").count() > 0) {
    await follow(link("Next"));
    assert.ok(!seen.has(here()), `${here()} comes twice`);
    seen.add(here());
  }
  assert.ok(seen.size >= 3);
  const last = here();
  await follow(link("Previous"));
  assert.equal(here(), [...seen].at(-2));
  await follow(link("First"));
  assert.equal(here(), entry);
  await follow(link("Last"));
  assert.equal(here(), last);
});

check("a permalink shows its message", async () => {
  for (const id of [messages[0]._id, messages.at(-1)._id]) {
    await open(messagePage(id), `m-${id}`);
    const target = page.locator(":target");
    assert.equal(await target.getAttribute("id"), `m-${id}`);
    await target.waitFor({ state: "visible" });
    assert.ok(await target.evaluate((one) => one.getBoundingClientRect().top < innerHeight));
    // Its own link is the same place.
    const own = await target.locator("a:has(time)").first().evaluate((one) => one.href);
    assert.equal(own, page.url());
  }
});

check("a reply leads to its thread's first message on another page", async () => {
  await open(entry, "m-threadRoot");
  await follow(link("Last"));
  const reply = page.locator("#m-threadReply");
  await follow(reply.locator("a[href$='m-threadRoot']").first());
  assert.equal(here(), entry);
  assert.equal(await page.locator(":target").getAttribute("id"), "m-threadRoot");
});

check("a first message leads to its reply on another page", async () => {
  await open(entry, "m-threadRoot");
  const replies = page.locator("#m-threadRoot details.thread");
  assert.equal(await replies.locator("ol").isVisible(), false);
  await replies.locator("summary").click();
  await follow(replies.locator("a[href$='#m-threadReply']"));
  assert.notEqual(here(), entry);
  await arrived("threadReply");
});

check("a long thread has a page of its own, and it and the room lead to each other", async () => {
  await throughLongThread(page);
});

check("the calendar leads to a day", async () => {
  await throughCalendar(page);
});

check("a quote leads to its message where that is in the export", async () => {
  await throughQuotes(page);
});

check("words are folded as the index was", async () => {
  await open();
  await page.locator("#search").focus();
  await page.locator("#search-author").waitFor();
  for (const [text, expected] of JSON.parse(fs.readFileSync(folds, "utf8"))) {
    assert.deepEqual(await page.evaluate((one) => window.exportRoom.words(one), text), expected, text);
  }
});

const one = (id) => ({ count: 1, ids: [id] });
const cases = [
  ["a word", { text: "zebra" }, one("zebra")],
  ["the beginning of a word", { text: "zeb" }, one("zebra")],
  ["a whole word that is none", { text: "zeb " }, { count: 0 }],
  ["capitals", { text: "ZEBRA Crossing" }, one("zebra")],
  ["two words anywhere", { text: "station zebra" }, one("zebra")],
  ["a phrase", { text: '"zebra crossing"' }, one("zebra")],
  ["the beginning of a phrase", { text: '"zebra cros' }, one("zebra")],
  ["no such phrase", { text: '"crossing zebra"' }, { count: 0 }],
  ["an accent that is not typed", { text: "creme brulee" }, one("accents")],
  ["an accent that is typed in another way", { text: "CRE\u0300ME" }, one("accents")],
  ["sharp s", { text: "strasse" }, one("accents")],
  ["Japanese", { text: "漢字テ" }, one("japanese")],
  ["Japanese in another order", { text: "字漢" }, { count: 0 }],
  ["Chinese", { text: "搜索" }, one("chinese")],
  ["Korean", { text: "검색" }, one("korean")],
  ["Arabic without its points", { text: "محمد" }, one("arabic")],
  ["Arabic with its points", { text: "مُحَمَّد" }, one("arabic")],
  ["Hebrew", { text: "שלום" }, one("hebrew")],
  ["an emoji", { text: "🦓" }, one("emoji")],
  ["words between marks", { text: "hostileword" }, one("hostile")],
  ["an address", { text: "example.org/path" }, one("link")],
  ["an author alone", { author: "ada" }, { count: 14 }],
  ["an author by the real name", { text: "zebra", author: "lovelace" }, one("zebra")],
  ["another author", { text: "zebra", author: "merry.4" }, { count: 0 }],
  ["a day", { from: "2016-01-02", to: "2016-01-02" }, one("accents")],
  ["days without messages", { from: "2016-02-01", to: "2016-03-01" }, { count: 0 }],
  ["a word after a day", { text: "pineapple", from: "2019-01-01" }, one("threadReply")],
  ["a word up to a day", { text: "pineapple", to: "2019-01-01" }, one("threadRoot")],
  ["oldest first", { text: "pineapple", order: "oldest" }, { count: 2, ids: ["threadRoot", "threadReply"] }],
  ["newest first", { text: "pineapple" }, { count: 2, ids: ["threadReply", "threadRoot"] }],
  ["everything encrypted", { text: "ciphertext" }, { count: 0 }],
  ["a word before a sign, which is whole", { text: "zeb+" }, { count: 0 }],
  ["a whole word before signs", { text: "zebra++" }, one("zebra")],
  ["an author of signs alone", { author: "!!!" }, { count: 0 }],
  ["a word by an author of signs alone", { text: "zebra", author: "?" }, { count: 0 }],
];
check("searches find their messages", async () => {
  await open();
  for (const [name, asked, expected] of cases) {
    const { count, results } = await search(asked);
    assert.equal(count, expected.count, name);
    for (const [at, id] of (expected.ids ?? []).entries()) {
      const [file, fragment] = results[at].href.split("#");
      const html = fs.readFileSync(`${directory}/${decodeURIComponent(file)}`, "utf8");
      const articles = [...html.matchAll(/<article class="m[^>]*? id="m-([^"]*)"/g)];
      assert.equal(articles[Number(fragment.slice(2))]?.[1], id, name);
    }
    if (expected.count > 0 && asked.text) {
      assert.ok(results[0].marks.length > 0, `${name}: nothing is marked in ${results[0].text}`);
    }
  }
});

check("searches in thousands of messages count right", async () => {
  await open();
  const both = (a, b) => (words) => words.some((word, at) => word === a && words[at + 1] === b);
  const table = [
    [{ text: "the " }, having((words) => words.includes("the"))],
    [{ text: "th" }, having((words) => words.some((word) => word.startsWith("th")))],
    [{ text: "1" }, having((words) => words.some((word) => word.startsWith("1")))],
    [{ text: "kernel driver " }, having((words) => words.includes("kernel") && words.includes("driver"))],
    [{ text: '"it the"' }, having(both("it", "the"))],
    [{ text: '"to the it"' }, having((words) => words.some((word, at) => word === "to" && words[at + 1] === "the" && words[at + 2] === "it"))],
    [{ text: "the ", author: "amber.1" }, having((words, message) => words.includes("the") && message.username === "amber.1")],
    [{ text: "printer ", from: "2017-07-14" }, having((words, message) => words.includes("printer") && message.ts >= "2017-07-14")],
    [{ text: "printer ", to: "2017-07-14" }, having((words, message) => words.includes("printer") && message.ts < "2017-07-15")],
  ];
  for (const [asked, expected] of table) {
    const { count } = await search(asked);
    assert.ok(expected.length > 0, JSON.stringify(asked));
    assert.equal(count, expected.length, JSON.stringify(asked));
  }
});

check("signs alone get an answer", async () => {
  await open();
  await search({ text: "zebra" });
  for (const text of ["!!!", "++ --", "§"]) {
    await page.locator("#search").fill(text);
    await page.locator("#search-panel [role=status]").filter({ hasText: "signs alone are not searched" }).waitFor();
    assert.equal(await page.locator("#search-panel ol a").count(), 0, text);
  }
  // Not the words of a search before.
  await search({ text: "zebra" });
  await page.locator("#search").fill("?!");
  await page.locator("#search-panel [role=status]").filter({ hasText: "signs alone are not searched" }).waitFor();
  await page.reload();
  await page.waitForFunction(() => document.getElementById("search").value === "?!");
  // The beginning of a phrase is none yet.
  await page.locator("#search").fill('"');
  await page.locator("#search-panel").waitFor({ state: "hidden" });
});

check("spoilers are found and stay covered", async () => {
  await open();
  for (const text of ["mustardword", "in the end it was "]) {
    const { count, results } = await search({ text });
    assert.equal(count, 1, text);
    assert.equal(results[0].text, "in the end it was ███ again");
  }
});

check("results are dated as the page is", async () => {
  await open();
  const { results } = await search({ text: "pineapple" });
  const times = await page.locator("#search-panel ol time").allTextContents();
  assert.equal(times.length, results.length);
  for (const time of times) {
    assert.match(time, /^\d{4}-\d\d-\d\d \d\d:\d\d$/);
  }
});

check("who comes back from a result finds the search as it was", async () => {
  await open();
  const before = await search({ text: "the ", from: "2016-01-02" });
  await page.locator("#search-panel .more").click();
  await page.waitForFunction(() => document.querySelectorAll("#search-panel ol a").length === 60);
  const there = page.locator("#search-panel ol a").nth(40);
  const href = await there.getAttribute("href");
  assert.notEqual(decodeURIComponent(href.split("#")[0]), here(), "the result is on another page");
  await there.click();
  await page.waitForFunction(() => document.querySelector(":target") !== null);
  assert.equal(await page.locator("#search-panel").count(), 0);
  await page.goBack();
  await page.locator("#search-panel ol a").nth(59).waitFor();
  assert.deepEqual(await page.evaluate(() => ["search", "search-from", "search-order"].map((id) => document.getElementById(id).value)),
    ["the ", "2016-01-02", "newest"]);
  assert.equal(await page.locator("#search-panel ol a").first().getAttribute("href"), before.results[0].href);
  await page.waitForFunction((wanted) => document.activeElement.getAttribute("href") === wanted, href);
  // From a result on the page itself as well.
  await search({ text: "zebra" });
  await page.locator("#search-panel ol a").first().click();
  await page.waitForFunction(() => document.querySelector(":target")?.id === "m-zebra");
  assert.equal(await page.locator("#search-panel").isVisible(), false);
  await page.goBack();
  await page.locator("#search-panel ol a").first().waitFor({ state: "visible" });
  assert.equal(await page.locator("#search").inputValue(), "zebra");
  // A search that was closed stays closed.
  await page.keyboard.press("Escape");
  await page.reload();
  await page.locator("#search").waitFor();
  assert.equal(await page.locator("#search-panel").count(), 0);
  assert.equal(await page.locator("#search").inputValue(), "");
});

check("more results come when they are asked for", async () => {
  await open();
  const { count, results } = await search({ text: "the " });
  assert.equal(results.length, 30);
  await page.locator("#search-panel .more").click();
  await page.waitForFunction(() => document.querySelectorAll("#search-panel ol a").length === 60);
  assert.ok(count > 60);
  const hrefs = await page.locator("#search-panel ol a").evaluateAll((all) => all.map((each) => each.href));
  assert.equal(new Set(hrefs).size, 60);
});

check("a result leads to its message", async () => {
  for (const id of ["zebra", "threadReply", "hostile"]) {
    await open();
    const text = { zebra: "zebra", threadReply: "pineapple", hostile: "hostileword" }[id];
    await search({ text });
    await page.locator("#search-panel ol a").first().click();
    await page.waitForFunction((wanted) => document.querySelector(":target")?.id === wanted, `m-${id}`);
    const message = page.locator(`#m-${id}`);
    assert.ok(await message.evaluate((each) => {
      const { top, bottom } = each.getBoundingClientRect();
      return top < innerHeight && bottom > 0;
    }));
    assert.equal(await page.locator("#search-panel").isVisible(), false);
  }
});

check("texts of messages are shown as texts", async () => {
  await open();
  const { results } = await search({ text: "hostileword" });
  assert.match(results[0].text, /<img src=x onerror=alert\(1\)>/);
  assert.equal(await page.locator("#search-panel img, #search-panel script, #search-panel b").count(), 0);
});

check("the keyboard is enough", async () => {
  // Opening the same page anew would keep the search before.
  await page.goto("about:blank");
  await open();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.type("pineapple");
  await page.locator("#search-panel ol a").nth(1).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  assert.equal(await page.evaluate(() => document.activeElement === document.querySelector("#search-panel ol a")), true);
  await page.keyboard.press("ArrowUp");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#search-panel").isVisible(), false);
});

check("a date leads to its day", async () => {
  await open();
  await search({ from: "2019-06-01" });
  await page.locator("#search-jump").click();
  await page.waitForFunction(() => document.querySelector(":target")?.id === "m-threadReply");
});

check("colours are switched and kept", async () => {
  await open();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.locator("#theme").selectOption("dark");
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await ground(), dark);
  await page.locator("#theme").selectOption("system");
  assert.equal(await ground(), light);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await ground(), dark);
  await page.emulateMedia({ colorScheme: "light" });
});

check("nothing is wider than a narrow screen", async () => {
  await page.setViewportSize({ width: 320, height: 640 });
  for (const name of [entry, ...pagesOf("-2.html"), ...pagesOf("-thread-1.html"), ...pagesOf("-calendar.html")]) {
    await open(name);
    await page.locator("#search").focus();
    await page.locator("#search-author").waitFor();
    const { wide, screen } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, screen: innerWidth }));
    assert.ok(wide <= screen, `${name}: ${wide} of ${screen}`);
  }
  await page.setViewportSize({ width: 1100, height: 800 });
});

const pagesOf = (end) => fs.readdirSync(directory).filter((name) => name.endsWith(end));

check("axe finds nothing serious", async () => {
  // One of each kind, with what only it has: a check of a page that is not there would find nothing.
  const base = entry.replace(/\.html$/, "");
  const kinds = [[entry, "nav.months"], [`${base}-2.html`, "nav.pages"], [`${base}-calendar.html`, "main.calendar td a"],
    [`${base}-thread-1.html`, "article.again"], [messagePage("quoteFar"), "blockquote.quote"]];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [name, has] of kinds) {
      await open(name);
      assert.ok(await page.locator(has).count() > 0, `${name} is no page with ${has}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
      if (name === entry) {
        await search({ text: "pineapple" });
      }
      // What is said of sixty messages holds for the rest: colours of thousands take minutes.
      await page.evaluate(() => [...document.querySelectorAll("article.m")].slice(30, -30).forEach((one) => one.remove()));
      assert.deepEqual(await serious(page), [], `${name}, ${colorScheme}`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
});

check("nothing went wrong and nothing was asked for outside", async () => assert.deepEqual(faults, []));

check("without script pages read and navigate", async () => {
  const silent = await browser.newContext({ javaScriptEnabled: false });
  const still = await watched(silent, directory, faults);
  await still.goto(address(directory, entry));
  assert.ok(await still.locator("article.m").count() > 0);
  assert.equal(await still.locator("#search, .tools").count(), 0);
  const to = (text) => follow(still.locator("nav a").filter({ hasText: text }).first());
  await to("Next");
  assert.match(still.url(), /-2\.html/);
  await to("First");
  await to("Last");
  await follow(still.locator("#m-threadReply a[href$='m-threadRoot']").first());
  assert.match(still.url(), /#m-threadRoot$/);
  assert.equal(await still.locator("#m-threadRoot").isVisible(), true);
  await still.locator("#m-threadRoot summary").click();
  await follow(still.locator("#m-threadRoot details.thread a[href$='#m-threadReply']"));
  assert.notEqual(still.url().split("#")[0], address(directory, entry));
  await arrived("threadReply", still);
  await throughLongThread(still);
  await throughCalendar(still);
  await throughQuotes(still);
  assert.deepEqual(faults, []);
});

check("a search whose files are not there says so", async () => {
  const moved = await context.newPage();
  await moved.route("**/search/index.js", (route) => route.abort());
  await moved.goto(address(directory, entry));
  await moved.locator("#search").fill("zebra");
  await moved.locator("#search-panel [role=status]").filter({ hasText: "Is the whole ZIP unpacked?" }).waitFor();
});

let failed = 0;
for (const [name, run] of checks) {
  const begun = performance.now();
  try {
    await run();
    console.log(`ok ${name} (${Math.round(performance.now() - begun)} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error.message}\n${error.stack}\n${faults.join("\n")}`);
  }
}
await browser.close();
console.log(`${checks.length - failed} of ${checks.length} checks passed`);
process.exit(failed ? 1 : 0);
