// Opens a page whose messages try to reach beyond their own box, and measures that they do not: bounds.mjs PAGE. In the
// page, the article `above` and the article `below` stand around `stacked`, whose combining marks are the only ones.
// Prints {faults, measured}.
import path from "node:path";
import process from "node:process";
import { address, launch, watched } from "./browser.mjs";

const page = process.argv[2];
const faults = [];
let measured = 0;
const browser = await launch();
for (const [width, colorScheme] of [[1280, "light"], [360, "dark"]]) {
  const noted = [];
  const say = (fault) => noted.push(fault);
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const tab = await watched(context, path.dirname(page), noted);
  await tab.goto(address(path.dirname(page), path.basename(page)));

  // What the neighbours say looks the same with the marks and without them.
  const looks = async () => {
    const all = [];
    for (const text of await tab.locator("#m-above .text, #m-below .by, #m-below .text").all()) {
      all.push((await text.screenshot({ animations: "disabled" })).toString("base64"));
    }
    return all;
  };
  const before = await looks();
  const stacked = await tab.evaluate(() => {
    const texts = document.createTreeWalker(document.getElementById("m-stacked"), NodeFilter.SHOW_TEXT);
    let marks = 0;
    while (texts.nextNode()) {
      marks += texts.currentNode.data.match(/\p{M}/gu)?.length ?? 0;
      texts.currentNode.data = texts.currentNode.data.replace(/\p{M}/gu, "");
    }
    return marks;
  });
  const after = await looks();
  measured += before.length;
  if (stacked < 100) {
    say(`only ${stacked} marks`);
  }
  before.forEach((look, number) => {
    if (look !== after[number]) {
      say(`marks are painted over neighbour ${number}`);
    }
  });

  // Nothing is wider than the page, and nothing is so narrow that a line has one letter.
  noted.push(...await tab.evaluate(() => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
      found.push(`the page is ${root.scrollWidth} wide`);
    }
    for (const text of document.querySelectorAll("main .text, main .text p, main .text li")) {
      const { left, right } = text.getBoundingClientRect();
      if (right - left < 40) {
        found.push(`${right - left} wide: ${text.textContent.slice(0, 40)}`);
      }
    }
    // A number in the margin of a list has the width of its text and the marker's own space.
    for (const item of document.querySelectorAll("main ol:not(.typed) > li[value]")) {
      const ruler = document.createElement("span");
      ruler.textContent = `${item.value}. `;
      ruler.style.whiteSpace = "pre";
      item.append(ruler);
      const needed = ruler.getBoundingClientRect().width;
      ruler.remove();
      const margin = Number.parseFloat(getComputedStyle(item.parentElement).paddingInlineStart);
      if (needed > margin) {
        found.push(`the number ${item.value} needs ${needed} of ${margin}`);
      }
    }
    return found;
  }));
  // Focus is seen whole: the ring is painted within what a message shows.
  const ring = await tab.evaluate(() => {
    const style = getComputedStyle(document.querySelector(".m"));
    return [style.overflowX, style.overflowY, Number.parseFloat(style.overflowClipMargin)];
  });
  if (ring[0] !== "clip" || ring[1] !== "clip" || ring[2] < 4) {
    say(`a message is clipped like this: ${ring}`);
  }
  faults.push(...noted.map((fault) => `${width}: ${fault}`));
  await context.close();
}
await browser.close();
console.log(JSON.stringify({ faults, measured }));
