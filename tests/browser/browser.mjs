// A headless Chromium on unpacked exports, and an eye on what a page must not do: complain, or ask for anything outside.
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const modules = process.env.EXPORT_ROOM_NODE_MODULES;
if (!modules) {
  throw new Error("EXPORT_ROOM_NODE_MODULES names no directory; `cargo xtask test` sets it");
}
const require = createRequire(path.join(modules, "of-tests.js"));
const { chromium } = require("playwright-core");

const axe = require("axe-core").source;

/** What axe-core finds in a page that is serious or critical, a line each. */
export const serious = async (page) => {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations", "passes"] }));
  if (!passes.some(({ id }) => id === "color-contrast")) {
    return ["axe looked at nothing"];
  }
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.length} like ${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary}`);
};

/** Starts the browser that Debian has. */
export const launch = (more = []) => chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", ...more],
});

/** The address of a file, with a fragment when given. */
export const address = (directory, name, fragment = "") =>
  pathToFileURL(path.join(directory, name)).href + (fragment && "#" + fragment);

/** A page of a browser's context; what it did wrong is appended to `faults`. */
export const watched = async (context, directory, faults) => {
  const page = await context.newPage();
  const inside = pathToFileURL(path.join(directory, "/")).href;
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(inside) && !request.url().startsWith("data:")) {
      faults.push(`request: ${request.url()}`);
    }
  });
  page.on("requestfailed", (request) => faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return page;
};
