// Lets axe-core look at every page of an unpacked export, wide and narrow, light and dark, with all that is folded opened.
// Prints {pages, faults}.
import fs from "node:fs";
import process from "node:process";
import { address, launch, serious } from "./browser.mjs";

const directory = process.argv[2];
const faults = [];
const browser = await launch();
const names = fs.readdirSync(directory).filter((name) => name.endsWith(".html"));
for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
    const page = await context.newPage();
    for (const name of names) {
      await page.goto(address(directory, name));
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => {
        one.open = true;
      }));
      faults.push(...(await serious(page)).map((fault) => `${name}, ${width} pixels, ${colorScheme}: ${fault}`));
    }
    await context.close();
  }
}
await browser.close();
console.log(JSON.stringify({ pages: names.length, faults }));
