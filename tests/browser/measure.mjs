// How long searches take in an unpacked export, and how much memory its tab has.
//
// node measure.mjs <directory> <entry page> [<search> ...]; a search is text, or author:text.
import fs from "node:fs";
import { address, launch, watched } from "./browser.mjs";

const [directory, entry, ...asked] = process.argv.slice(2);
const searches = asked.length > 0 ? asked : ["83217 ", "resolver ", "the ", "t", "th", "1", '"to the "', "kernel panic", "amber.1:the "];

/** Resident bytes of the renderers, as the system counts them: what is theirs, and with what they share. */
const renderers = () => {
  let sum = { own: 0, all: 0 };
  for (const id of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (fs.readFileSync(`/proc/${id}/cmdline`, "utf8").includes("--type=renderer")) {
        const kilobytes = (key) => Number(fs.readFileSync(`/proc/${id}/smaps_rollup`, "utf8").match(new RegExp(`^${key}:\\s+(\\d+)`, "m"))[1]);
        sum = { own: Math.max(sum.own, kilobytes("Private_Clean") + kilobytes("Private_Dirty")), all: Math.max(sum.all, kilobytes("Rss")) };
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return { own: Math.round(sum.own / 1024), all: Math.round(sum.all / 1024) };
};

const browser = await launch();
const faults = [];
const context = await browser.newContext();
const rows = [];
for (const warm of [false, true]) {
  // Each search in a new tab, as after opening the export; then all of them in one.
  let page;
  for (const search of searches) {
    if (!page || !warm) {
      await page?.close();
      page = await watched(context, directory, faults);
      const begun = performance.now();
      await page.goto(address(directory, entry));
      rows.push(["open", Math.round(performance.now() - begun), "", ...Object.values(renderers())]);
      await page.locator("#search").focus();
      await page.locator("#search-author").waitFor();
    }
    const [, author = "", text] = search.match(/^(?:([\w.]+):)?(.*)$/);
    const taken = await page.evaluate(async ([typed, by]) => {
      const panel = document.getElementById("search-panel");
      const field = document.getElementById("search");
      const before = panel.dataset.turn;
      const start = performance.now();
      document.getElementById("search-author").value = by;
      field.value = typed;
      field.dispatchEvent(new Event("input"));
      while (panel.dataset.turn === before) {
        await new Promise((done) => setTimeout(done, 2));
      }
      return [Math.round(performance.now() - start), panel.querySelector("[role=status]").textContent];
    }, [text, author]);
    rows.push([`${warm ? "again" : "first"}: ${search}`, ...taken, ...Object.values(renderers())]);
  }
  await page.close();
}
await browser.close();
console.log("what | ms until results are shown | answer | MB of the tab's own | MB with what it shares");
for (const row of rows) {
  console.log(row.join(" | "));
}
if (faults.length > 0) {
  console.log(faults.join("\n"));
  process.exit(1);
}
