"use strict";
// The search of an export: loads the files beside it and finds messages. docs/formats.md describes the files. Everything
// from them is data: it is shown as text and never as markup.
(() => {
  const directory = document.documentElement.dataset.search;
  const field = document.getElementById("search");
  const texts = window.exportRoomTexts;
  if (!directory || !field || !texts || window.exportRoom) {
    return;
  }

  // ---- Words, as crates/transcript/src/search/fold.rs makes them. ----

  const WORD = 32;
  const DROPPED = /[\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u2069\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff]/g;
  const LETTERS = { ß: "ss", æ: "ae", œ: "oe", þ: "th", ø: "o", đ: "d", ð: "d", ħ: "h", ı: "i", ł: "l", ŧ: "t", ς: "σ" };
  const ALONE = "\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u2600-\\u27bf\\u2e80-\\u2fdf\\u3005-\\u3007\\u3041-\\u31bf\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7a3\\uf900-\\ufaff\\u{1f000}-\\u{1faff}\\u{20000}-\\u{3ffff}";
  const TOKENS = new RegExp(`[${ALONE}]|(?:(?![${ALONE}])[\\p{Alphabetic}\\p{N}\\p{M}])+`, "gu");
  const words = (text) => {
    const folded = text.normalize("NFKD").replace(DROPPED, "").normalize("NFC").toLowerCase()
      .replace(/[ßæœþøđðħıłŧς]/g, (letter) => LETTERS[letter]);
    return (folded.match(TOKENS) || []).map((word) => (word.length > WORD ? [...word].slice(0, WORD).join("") : word));
  };

  // ---- Files. ----

  /** Characters of files that are kept; the latest used stay. */
  const KEPT = 24e6;
  const files = new Map();
  let kept = 0;
  const waiting = new Map();
  window.exportRoom = (name, ...texts) => {
    const taken = waiting.get(name);
    waiting.delete(name);
    if (taken) {
      taken(texts);
    }
  };
  window.exportRoom.words = words;
  const load = (name, read) => {
    let file = files.get(name);
    if (file) {
      // Last in the order of insertion: used last.
      files.delete(name);
      files.set(name, file);
      return file.content;
    }
    file = { size: 0 };
    file.content = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const fail = () => {
        script.remove();
        files.delete(name);
        reject(new Error(texts.unreadable.replace("{}", () => `${directory}${name}.js`)));
      };
      waiting.set(name, (texts) => {
        file.size = texts.reduce((sum, text) => sum + text.length, 0);
        kept += file.size;
        resolve(new Promise((done) => done(read(texts))));
      });
      script.onload = () => (waiting.delete(name) ? fail() : script.remove());
      script.onerror = fail;
      script.src = directory + name + ".js";
      document.head.append(script);
    });
    files.set(name, file);
    file.content.then(() => {
      for (const [other, old] of files) {
        if (kept <= KEPT) {
          break;
        }
        if (old.size > 0 && other !== name) {
          kept -= old.size;
          files.delete(other);
        }
      }
    }, () => {});
    return file.content;
  };

  // ---- Numbers, as crates/transcript/src/search/code.rs writes them. ----

  const DIGITS = new Uint8Array(128);
  for (let digit = 0; digit < 92; digit += 1) {
    DIGITS[digit + 35 === 92 ? 33 : digit + 35] = digit;
  }
  /** Calls `each` with the sums of a list of distances. */
  const sums = (text, each) => {
    let sum = 0;
    let value = 0;
    for (let at = 0; at < text.length; at += 1) {
      const digit = DIGITS[text.charCodeAt(at) & 127];
      if (digit < 60) {
        sum += value * 60 + digit;
        value = 0;
        each(sum);
      } else {
        value = value * 32 + digit - 59;
      }
    }
  };
  const numbers = (text) => {
    const list = [];
    let before = 0;
    sums(text, (sum) => {
      list.push(sum - before);
      before = sum;
    });
    return list;
  };

  // ---- Terms. ----

  /** Order of code points, which is that of the files; that of UTF-16 is another. */
  const order = (a, b) => {
    const length = Math.min(a.length, b.length);
    for (let at = 0; at < length; at += 1) {
      let [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
      if (x !== y) {
        if (x >= 0xd800 && y >= 0xd800) {
          x += x >= 0xe000 ? -0x2000 : 0x2000;
          y += y >= 0xe000 ? -0x2000 : 0x2000;
        }
        return x - y;
      }
    }
    return a.length - b.length;
  };
  const index = () => load("index", ([head, firsts]) => {
    const [messages, pages, positions] = numbers(head);
    return { messages, pages, positions, firsts: firsts ? firsts.split("\t") : [] };
  });
  /** All terms that `term` is, or that begin with it, each with the texts of its lists. */
  const find = async (term, prefix) => {
    const { firsts } = await index();
    const wanted = [];
    for (let file = 0; file < firsts.length; file += 1) {
      const first = firsts[file];
      const begins = order(first, term) <= 0 || (prefix && first.startsWith(term));
      const ends = file + 1 === firsts.length || order(firsts[file + 1], term) >= 0;
      if (begins && ends) {
        wanted.push(file);
      }
    }
    const found = [];
    // A few at a time: the browser reads the next while this reads the last.
    for (let from = 0; from < wanted.length; from += 32) {
      const some = wanted.slice(from, from + 32).map((file) => load("t" + file, ([text]) => text.split("\t")));
      for (const entries of await Promise.all(some)) {
        for (let at = 0; at + 1 < entries.length; at += 2) {
          if (prefix ? entries[at].startsWith(term) : entries[at] === term) {
            found.push([entries[at], entries[at + 1]]);
          }
        }
      }
    }
    return found;
  };

  // ---- Messages. ----

  /** Positions for each of which the message is kept. */
  const STEP = 64;
  const room = (() => {
    let made;
    return () => (made ||= (async () => {
      const { messages, pages, positions } = await index();
      const starts = new Float64Array(messages + 1);
      let at = 0;
      for (const [, list] of await find("!", false)) {
        sums(list, (position) => (starts[at++] = position));
      }
      starts[messages] = positions;
      const nearby = new Uint32Array(Math.ceil(positions / STEP) + 1);
      let message = 0;
      for (let block = 0; block < nearby.length; block += 1) {
        while (message + 1 < messages && starts[message + 1] <= block * STEP) {
          message += 1;
        }
        nearby[block] = message;
      }
      /** The message that a position is in. */
      const messageAt = (position) => {
        let found = nearby[Math.floor(position / STEP)];
        while (starts[found + 1] <= position) {
          found += 1;
        }
        return found;
      };
      const begins = new Uint32Array(pages);
      at = 0;
      for (const [, list] of await find("#", false)) {
        sums(list, (position) => (begins[at++] = messageAt(position)));
      }
      /** The page that a message is on, and its place there. */
      const place = (wanted) => {
        let [low, high] = [0, pages];
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          [low, high] = begins[middle] <= wanted ? [middle, high] : [low, middle];
        }
        return { page: low, at: wanted - begins[low] };
      };
      return { messages, positions, messageAt, place };
    })().catch((error) => {
      made = undefined;
      throw error;
    }));
  })();

  /** A set of numbers below a limit. */
  class Numbers {
    constructor(limit) {
      this.bits = new Uint32Array(Math.ceil(limit / 32));
    }
    add(number) {
      this.bits[Math.floor(number / 32)] |= 1 << number % 32;
    }
    has(number) {
      return (this.bits[Math.floor(number / 32)] >>> number % 32) & 1;
    }
    keep(other) {
      for (let at = 0; at < this.bits.length; at += 1) {
        this.bits[at] &= other.bits[at];
      }
    }
    get size() {
      let sum = 0;
      for (let bits of this.bits) {
        bits -= (bits >>> 1) & 0x55555555;
        bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
        sum += (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
      }
      return sum;
    }
  }

  /** The messages with these words one after the other; of the last, its beginning is enough when `open`. */
  const phrase = async (all, open) => {
    const { messages, positions, messageAt } = await room();
    const found = new Numbers(messages);
    let before;
    for (const [at, word] of all.entries()) {
      const last = at + 1 === all.length;
      const lists = await find(word, last && open);
      const here = last ? undefined : new Numbers(positions);
      for (const [, list] of lists) {
        sums(list, (position) => {
          if (!before || before.has(position - 1)) {
            if (last) {
              found.add(messageAt(position));
            } else {
              here.add(position);
            }
          }
        });
      }
      before = here;
    }
    return found;
  };

  const IN_WORD = /[\p{Alphabetic}\p{N}\p{M}]$/u;
  /** What is typed: words, and phrases in quotes; the beginning of the last word is enough while it is typed. */
  const parse = (text) => {
    const parts = [];
    for (const { 0: all, 1: quoted, 2: closed, 3: plain, index: at } of text.matchAll(/["“”„]([^"“”„]*)(["“”„]?)|([^\s"“”„]+)/g)) {
      const typed = words(quoted ?? plain);
      if (typed.length > 0) {
        parts.push({ words: typed, open: !closed && at + all.length === text.length && IN_WORD.test(text) });
      }
    }
    return parts;
  };

  const names = (term) => term.slice(1).split("\x1f");
  const authors = async (text) => {
    const { messages, messageAt } = await room();
    // Names that are written with signs alone are compared as they are.
    const folded = words(text).length > 0 ? (name) => words(name).join(" ") : (name) => name;
    const wanted = folded(text);
    const all = (await find("@", true)).map(([term, list]) => [names(term).map(folded), list]);
    const exact = all.filter(([all]) => all.includes(wanted));
    const found = new Numbers(messages);
    const chosen = exact.length > 0 ? exact : all.filter(([all]) => all.some((name) => name.includes(wanted)));
    for (const [, list] of chosen) {
      sums(list, (position) => found.add(messageAt(position)));
    }
    return found;
  };

  /** The first message of a day or of the days after it; the number of messages when there is none. */
  const dayBegins = async (day, after) => {
    const { messages, messageAt } = await room();
    let begins = messages;
    let least = Infinity;
    for (const [term, list] of await find("%", true)) {
      if (after ? term.slice(1) > day : term.slice(1) >= day) {
        sums(list, (position) => (least = Math.min(least, position)));
      }
    }
    if (least < Infinity) {
      begins = messageAt(least);
    }
    return begins;
  };

  /** The messages that answer, and the range of them that the dates allow. */
  const answer = async (asked) => {
    const { messages } = await room();
    let found;
    const meet = (other) => (found ? found.keep(other) : (found = other));
    for (const part of asked.parts) {
      meet(await phrase(part.words, part.open));
    }
    if (asked.author) {
      meet(await authors(asked.author));
    }
    const dated = asked.from || asked.to;
    const from = dated ? await dayBegins(asked.from || "", false) : 0;
    const to = asked.to ? await dayBegins(asked.to, true) : messages;
    if (!found) {
      found = new Numbers(messages);
      found.bits.fill(0xffffffff);
    }
    if (from > 0 || to < found.bits.length * 32) {
      found.bits.fill(0, 0, Math.floor(from / 32));
      if (from % 32 > 0) {
        found.bits[Math.floor(from / 32)] &= 0xffffffff << from % 32;
      }
      if (to % 32 > 0) {
        found.bits[Math.floor(to / 32)] &= ~(0xffffffff << to % 32);
      }
      found.bits.fill(0, Math.ceil(to / 32));
    }
    return found;
  };

  const page = (number) => load("p" + number, ([name, authorTexts, records]) => {
    const authorNames = authorTexts.split("\t");
    const parts = records.split("\t");
    const list = [];
    let minute = 0;
    for (let at = 0; at + 1 < parts.length; at += 2) {
      const [author, moved] = numbers(parts[at]);
      minute += moved % 2 ? -(moved + 1) / 2 : moved / 2;
      list.push({
        author: authorNames[Math.floor(author / 2)],
        time: author % 2 ? undefined : new Date(minute * 60000),
        text: parts[at + 1],
      });
    }
    return { name, list };
  });

  // ---- The panel. ----

  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) {
      made.setAttribute(attribute, value);
    }
    made.append(...children);
    return made;
  };
  const RESULTS = 30;
  const CONTEXT = 60;
  const LENGTH = 240;
  const form = field.form;
  const authorField = element("input", { id: "search-author", type: "text", list: "search-authors", autocomplete: "off", spellcheck: "false" });
  const authorList = element("datalist", { id: "search-authors" });
  const fromField = element("input", { id: "search-from", type: "date" });
  const toField = element("input", { id: "search-to", type: "date" });
  const orderField = element("select", { id: "search-order" },
    element("option", { value: "newest" }, texts.newest), element("option", { value: "oldest" }, texts.oldest));
  const jump = element("button", { type: "button", id: "search-jump" }, texts.jump);
  const labelled = (text, control) => element("span", { class: "filter" }, element("label", { for: control.id }, text), control);
  const filters = element("div", { class: "filters" }, labelled(texts.author, authorField), authorList, labelled(texts.from, fromField),
    labelled(texts.to, toField), labelled(texts.order, orderField), jump);
  const status = element("p", { class: "found", role: "status", "aria-live": "polite" });
  const list = element("ol", { class: "results" });
  const more = element("button", { type: "button", class: "more" }, texts.more);
  const panel = element("section", { class: "panel", id: "search-panel", "aria-label": texts.results }, status, list, more);
  jump.hidden = true;
  more.hidden = true;
  panel.hidden = true;
  filters.hidden = true;
  form.append(filters, panel);
  field.setAttribute("aria-controls", "search-panel");

  const language = document.documentElement.lang;
  /** An instant as the pages write it; its UTC is the time of the pages' zone. */
  const written = (time) => {
    const two = (number) => String(number).padStart(2, "0");
    const parts = { Y: String(Math.abs(time.getUTCFullYear())).padStart(4, "0"), N: two(time.getUTCMonth() + 1), D: two(time.getUTCDate()) };
    const [hour, minute] = [time.getUTCHours(), two(time.getUTCMinutes())];
    const clock = texts.twelve ? `${hour % 12 || 12}:${minute} ${hour < 12 ? "AM" : "PM"}` : `${two(hour)}:${minute}`;
    return `${texts.date.replace(/[YND]/g, (part) => parts[part])} ${clock}`;
  };
  const told = (count) => (count === 1 ? texts.one : texts.several).replace("{}", () => count.toLocaleString(language));

  /** A text with its spoilers covered, also one that is cut: who looks for other words has not asked for them. */
  const covered = (text) => text.replace(/\ufdd0[^\ufdd1]*\ufdd1?/g, "███");
  /** Where words of a text begin and end that are looked for. */
  const hits = (text, asked) => {
    const whole = new Set();
    const beginnings = [];
    for (const part of asked.parts) {
      part.words.forEach((word, at) => {
        if (part.open && at + 1 === part.words.length) {
          beginnings.push(word);
        } else {
          whole.add(word);
        }
      });
    }
    const found = [];
    const pieces = new RegExp(`[${ALONE}][\\u{1f3fb}-\\u{1f3ff}\\ufe0f]*|(?:(?![${ALONE}])[\\p{Alphabetic}\\p{N}\\p{M}\\u00ad\\u200b-\\u200f\\u0640])+`, "gu");
    for (const piece of text.matchAll(pieces)) {
      const folded = words(piece[0]);
      if (folded.some((word) => whole.has(word) || beginnings.some((beginning) => word.startsWith(beginning)))) {
        found.push([piece.index, piece.index + piece[0].length]);
      }
    }
    return found;
  };
  const marked = (text, asked) => {
    const found = hits(text, asked);
    let from = 0;
    if (found.length > 0 && found[0][0] > 2 * CONTEXT) {
      from = text.indexOf(" ", found[0][0] - CONTEXT);
      from = from < 0 || from > found[0][0] ? found[0][0] : from + 1;
    }
    let to = Math.min(text.length, from + LENGTH);
    // Not through the middle of a character.
    if (to < text.length && (text.charCodeAt(to) & 0xfc00) === 0xdc00) {
      to += 1;
    }
    const parts = from > 0 ? ["…"] : [];
    let at = from;
    for (const [begin, end] of found) {
      if (begin >= at && end <= to) {
        parts.push(text.slice(at, begin), element("mark", {}, text.slice(begin, end)));
        at = end;
      }
    }
    parts.push(text.slice(at, to), to < text.length ? "…" : "");
    return parts;
  };

  const base = directory.slice(0, -"search/".length);
  const address = (name, at) => `${base}${name.split("/").map(encodeURIComponent).join("/")}#o-${at}`;
  const result = async (number, asked) => {
    const place = (await room()).place(number);
    const { name, list: records } = await page(place.page);
    const record = records[place.at];
    const link = element("a", { href: address(name, place.at) },
      element("span", { class: "who", dir: "auto" }, record.author), " ",
      record.time ? element("time", { datetime: record.time.toISOString().slice(0, 16) }, written(record.time)) : texts.timeless,
      element("span", { class: "said", dir: "auto" }, ...marked(covered(record.text), asked)));
    return element("li", {}, link);
  };

  /** The numbers of a set in the order asked for. */
  function* inOrder(found, newest) {
    const last = found.bits.length - 1;
    for (let step = 0; step <= last; step += 1) {
      const at = newest ? last - step : step;
      if (found.bits[at] !== 0) {
        for (let bit = 0; bit < 32; bit += 1) {
          const number = at * 32 + (newest ? 31 - bit : bit);
          if (found.has(number)) {
            yield number;
          }
        }
      }
    }
  }

  let asking = 0;
  let rest;
  const show = async (asked, turn, wanted) => {
    const shown = [];
    while (shown.length < wanted) {
      const { value, done } = rest.next();
      if (done) {
        break;
      }
      shown.push(result(value, asked));
    }
    const items = await Promise.all(shown);
    if (turn === asking) {
      list.append(...items);
      more.hidden = items.length < wanted;
    }
    return items;
  };
  const controls = [field, authorField, fromField, toField, orderField];
  /** Keeps the search with the page's place in the history: who comes back finds it as it was. */
  const remember = (open, at) => {
    const search = { open, at, values: controls.map(({ value }) => value), shown: list.children.length };
    try {
      history.replaceState({ ...history.state, search }, "");
    } catch {
      // Some browsers keep nothing for pages from a directory.
    }
  };
  const ask = async (wanted = RESULTS) => {
    asking += 1;
    const turn = asking;
    const asked = {
      parts: parse(field.value), author: authorField.value.trim(), from: fromField.value, to: toField.value,
    };
    jump.hidden = !asked.from;
    const tell = (text) => {
      list.replaceChildren();
      more.hidden = true;
      status.textContent = text;
      panel.dataset.turn = turn;
    };
    if (asked.parts.length === 0 && /[^\s"“”„]/.test(field.value)) {
      panel.hidden = false;
      tell(texts.wordless);
      remember(true);
      return;
    }
    if (asked.parts.length === 0 && !asked.author && !asked.from && !asked.to) {
      panel.hidden = true;
      tell("");
      remember(false);
      return;
    }
    panel.hidden = false;
    try {
      const begun = performance.now();
      const found = await answer(asked);
      if (turn !== asking) {
        return;
      }
      const count = found.size;
      rest = inOrder(found, orderField.value === "newest");
      more.onclick = async () => {
        const [first] = await show(asked, asking, RESULTS);
        remember(true);
        if (first) {
          first.firstChild.focus();
        }
      };
      const old = [...list.children];
      await show(asked, turn, wanted);
      if (turn !== asking) {
        return;
      }
      old.forEach((item) => item.remove());
      status.textContent = count === 0 ? texts.none : told(count);
      panel.dataset.milliseconds = Math.round(performance.now() - begun);
      panel.dataset.turn = turn;
      remember(true);
      // On a small screen the results would be below everything.
      if (panel.getBoundingClientRect().top > innerHeight * 0.6) {
        form.scrollIntoView();
      }
    } catch (error) {
      if (turn === asking) {
        tell(error.message);
      }
    }
  };

  let timer;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask(), 60);
  };
  const open = () => {
    filters.hidden = false;
    if (list.children.length > 0) {
      panel.hidden = false;
    }
  };
  const close = () => {
    panel.hidden = true;
    filters.hidden = true;
  };
  const leave = () => {
    if (!filters.hidden) {
      close();
      remember(false);
    }
  };
  /** Shows the search that was left open at this place of the history, if one was. */
  const restore = async () => {
    const { search } = history.state || {};
    if (!search || !search.open) {
      return;
    }
    controls.forEach((control, at) => (control.value = search.values[at]));
    open();
    await ask(Math.max(RESULTS, search.shown));
    const last = list.querySelectorAll("a")[search.at];
    if (last) {
      last.focus();
    }
  };
  addEventListener("popstate", () => {
    close();
    restore();
  });
  addEventListener("pageshow", ({ persisted }) => persisted && restore());
  for (const control of [field, authorField, fromField, toField]) {
    control.addEventListener("input", soon);
  }
  orderField.addEventListener("change", soon);
  field.addEventListener("focus", open);
  authorField.addEventListener("focus", async () => {
    try {
      const all = (await find("@", true)).map(([term]) => names(term));
      authorList.replaceChildren(...all.slice(0, 500).map(([username, name]) => element("option", name ? { value: username, label: name } : { value: username })));
    } catch (error) {
      status.textContent = error.message;
    }
  }, { once: true });
  jump.addEventListener("click", async () => {
    try {
      const { messages, place } = await room();
      const day = await dayBegins(fromField.value, false);
      const { page: number, at } = place(Math.min(day, messages - 1));
      const { name } = await page(number);
      close();
      location.href = address(name, at);
    } catch (error) {
      panel.hidden = false;
      status.textContent = error.message;
    }
  });
  form.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      leave();
      field.blur();
    } else if (event.key === "ArrowDown" && (event.target === field || at >= 0)) {
      event.preventDefault();
      const next = links[at + 1] || (more.hidden ? undefined : more);
      if (next) {
        next.focus();
      }
    } else if (event.key === "ArrowUp" && at >= 0) {
      event.preventDefault();
      (links[at - 1] || field).focus();
    }
  });
  list.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    // On this page nothing is loaded anew: what covers it goes.
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      remember(true, [...list.querySelectorAll("a")].indexOf(link));
      close();
    }
  });
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target)) {
      leave();
    }
  });
  if (document.activeElement === field) {
    open();
  }
  if (field.value) {
    ask();
  } else {
    restore();
  }
})();
