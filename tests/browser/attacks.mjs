// Opens every page of an unpacked export that is full of attacks, and looks whether one got out: by what happens, and by
// what elements there are. Prints {pages, articles, faults}.
import fs from "node:fs";
import process from "node:process";
import { address, launch, watched } from "./browser.mjs";

const directory = process.argv[2];
const faults = [];
let articles = 0;

/** Runs in the page: every element must be one that we write, in a place where we write it. */
const inspect = () => {
  const found = [];
  const say = (what, element) => {
    if (found.length < 20) {
      found.push(`${what}: ${element ? element.outerHTML.slice(0, 300) : ""}`);
    }
  };
  const tags = new Set(("html head meta title style script body header h1 h2 h3 p dl div dt dd nav a main time article span b bdi br ul ol " +
    "li img blockquote details summary footer svg path rect audio video section hr i figure figcaption em strong del s code pre mark q " +
    "button input label form output select option search noscript template small kbd sup sub table caption thead tbody tr th td aside").split(" "));
  const attributes = new Set(("class id href rel src alt title width height loading controls preload download datetime dir lang content name " +
    "charset http-equiv viewBox d fill preserveAspectRatio role type hidden tabindex value for open start reversed placeholder autocomplete " +
    "spellcheck inputmode colspan scope disabled checked min max data-theme").split(" "));
  const classes = new Set();
  for (const sheet of document.styleSheets) {
    const walk = (rules) => {
      for (const rule of rules) {
        if (rule.selectorText) {
          for (const [, name] of rule.selectorText.matchAll(/\.([A-Za-z][\w-]*)/g)) {
            classes.add(name);
          }
        }
        if (rule.cssRules) {
          walk(rule.cssRules);
        }
      }
    };
    walk(sheet.cssRules);
  }
  for (const element of document.querySelectorAll("*")) {
    const tag = element.localName;
    if (!tags.has(tag)) {
      say("an element that is not ours", element);
    }
    for (const { name, value } of element.attributes) {
      const ours = attributes.has(name) || name.startsWith("aria-") || name.startsWith("data-");
      if (!ours && element.closest("main") || name.startsWith("on") || name === "style") {
        say(`the attribute ${name}`, element);
      }
      if (name === "id" && element !== document.querySelector("main") && element.closest("main") && !/^(m-|d-|t-|h-)/.test(value)) {
        say("an id that is not ours", element);
      }
      if (name === "class" && element.closest("main")) {
        for (const part of element.classList) {
          if (!/^[a-z][a-z0-9-]{0,15}$/.test(part)) {
            say(`the class ${part}`, element);
          }
        }
      }
    }
    if (element.hasAttribute("href")) {
      const to = element.getAttribute("href");
      const scheme = new URL(to, document.baseURI).protocol;
      const outward = /^(https?|mailto|tel):/i.test(to);
      if (outward ? !/noopener/.test(element.rel) : scheme !== "file:") {
        say("a link that leads elsewhere", element);
      }
      if (!outward && !new URL(to, document.baseURI).href.startsWith(new URL(".", document.baseURI).href)) {
        say("a link out of the directory", element);
      }
    }
    if (element.hasAttribute("src")) {
      if (!new URL(element.getAttribute("src"), document.baseURI).href.startsWith(new URL("assets/", document.baseURI).href)) {
        say("something that is loaded from elsewhere", element);
      }
    }
    if (element.hasAttribute("name") && tag !== "meta" && element.closest("main")) {
      say("an element with a name", element);
    }
  }
  const articles = [...document.querySelectorAll("article")];
  for (const article of articles) {
    if (article.parentElement.closest("article") || !article.closest("main")) {
      say("an article in a wrong place", article);
    }
  }
  for (const script of document.querySelectorAll("script, style, meta, title, form")) {
    if (script.closest("main")) {
      say("head matter among the messages", script);
    }
  }
  for (const element of document.querySelectorAll("main p, main div, main blockquote, main figure, main details, main ul, main dl")) {
    if (element.closest("main").querySelector("article") && !element.closest("article, nav, section, details, header, h2")) {
      say("something between the messages", element);
    }
  }
  // What is written out and read again is the same.
  const again = new DOMParser().parseFromString(document.documentElement.outerHTML, "text/html");
  const [before, after] = [document, again].map((page) => page.querySelectorAll("*").length);
  if (before !== after) {
    say(`${before} elements become ${after} when they are read again`);
  }
  if (window.pwned !== undefined) {
    say("an attack ran");
  }
  return { found, articles: articles.length };
};

const browser = await launch();
const context = await browser.newContext({ acceptDownloads: false });
const names = fs.readdirSync(directory).filter((name) => name.endsWith(".html"));
for (const name of names) {
  const noted = [];
  const page = await watched(context, directory, noted);
  page.on("popup", () => noted.push("popup"));
  page.on("framenavigated", (frame) => {
    if (frame !== page.mainFrame()) {
      noted.push(`frame: ${frame.url()}`);
    }
  });
  await page.goto(address(directory, name));
  // All that is folded is opened, and all that is lazy is loaded.
  await page.evaluate(async () => {
    for (const details of document.querySelectorAll("details")) {
      details.open = true;
    }
    for (const picture of document.querySelectorAll("img")) {
      picture.loading = "eager";
    }
    await new Promise((done) => setTimeout(done, 500));
  });
  const result = await page.evaluate(inspect);
  articles += result.articles;
  noted.push(...result.found);
  faults.push(...noted.slice(0, 10).map((fault) => `${name}: ${fault}`));
  await page.close();
}
await browser.close();
console.log(JSON.stringify({ pages: names.length, articles, faults: faults.slice(0, 40) }));
