// A picture of an exported page as a person sees it: picture.mjs PAGE PICTURE WIDTHxHEIGHT [--dark] [--print] [--at SELECTOR]
import path from "node:path";
import process from "node:process";
import { address, launch, watched } from "./browser.mjs";

const [page, picture, size, ...options] = process.argv.slice(2);
const [width, height] = size.split("x").map(Number);
const at = options.includes("--at") ? options[options.indexOf("--at") + 1] : null;
const browser = await launch();
const context = await browser.newContext({
  viewport: { width, height },
  colorScheme: options.includes("--dark") ? "dark" : "light",
});
const faults = [];
const tab = await watched(context, path.dirname(page), faults);
await tab.goto(address(path.dirname(page), path.basename(page)));
if (options.includes("--print")) {
  await tab.emulateMedia({ media: "print", colorScheme: "light" });
}
await tab.evaluate(async (at) => {
  for (const picture of document.images) {
    picture.loading = "eager";
  }
  await Promise.all([...document.images].map((picture) => picture.decode().catch(() => {})));
  if (at) {
    document.querySelector(at).scrollIntoView();
  }
}, at);
await tab.screenshot({ path: picture });
await browser.close();
if (faults.length > 0) {
  throw new Error(faults.join("\n"));
}
