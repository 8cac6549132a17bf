// Clicks every link to a file on every page of an unpacked export, as a reader would, and looks whether a file ran.
// Prints {links, faults}.
import fs from "node:fs";
import process from "node:process";
import { address, launch } from "./browser.mjs";

const directory = process.argv[2];
const faults = [];
let links = 0;

/** A text inside a string of a selector. */
const quoted = (text) => text.replace(/["\\]/g, "\\$&");

const browser = await launch();
const context = await browser.newContext({ acceptDownloads: false });
for (const name of fs.readdirSync(directory).filter((name) => name.endsWith(".html"))) {
  const page = await context.newPage();
  let clicked = name;
  page.on("dialog", (dialog) => {
    faults.push(`${clicked}: dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    // The browser's own viewer of PDF loads its own parts.
    if (!/^(file|data|chrome|chrome-extension):/.test(request.url())) {
      faults.push(`${clicked}: request: ${request.url()}`);
    }
  });
  const open = () => page.goto(address(directory, name));
  const found = "a[href^='assets/']";
  await open();
  const files = new Set(await page.locator(found).evaluateAll((all) => all.map((link) => link.getAttribute("href"))));
  links += files.size;
  for (clicked of files) {
    // What happens: it is opened in the place of the page, or saved.
    const happened = Promise.any([page.waitForEvent("load"), page.waitForEvent("download")]);
    // Also what is folded away.
    await page.locator(`a[href="${quoted(clicked)}"]`).first().dispatchEvent("click");
    await happened.catch(() => faults.push(`${clicked}: nothing is opened or saved`));
    if (await page.evaluate(() => window.pwned !== undefined)) {
      faults.push(`${clicked}: an attack ran`);
    }
    await open();
  }
  await page.close();
}
await browser.close();
console.log(JSON.stringify({ links, faults }));
