// Lets axe-core look at every page of an unpacked export, wide and narrow, light and dark, with all that is folded opened,
// and at the results of a search. Prints {pages, searches, faults}.
import fs from "node:fs";
import process from "node:process";
import { address, launch, serious } from "./browser.mjs";

const directory = process.argv[2];
const faults = [];
let searches = 0;
const browser = await launch();
const names = fs.readdirSync(directory).filter((name) => name.endsWith(".html"));
for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
    const page = await context.newPage();
    const look = async (what) =>
      faults.push(...(await serious(page)).map((fault) => `${what}, ${width} pixels, ${colorScheme}: ${fault}`));
    for (const name of names) {
      await page.goto(address(directory, name));
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => {
        one.open = true;
      }));
      await look(name);
    }
    await page.locator("#search").focus();
    await page.locator("#search-author").waitFor();
    await page.locator("#search").fill("a");
    await page.locator("#search-panel ol a").first().waitFor();
    searches += await page.locator("#search-panel ol a").count();
    await look("a search");
    await context.close();
  }
}
await browser.close();
console.log(JSON.stringify({ pages: names.length, searches, faults }));
