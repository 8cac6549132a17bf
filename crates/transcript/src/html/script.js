"use strict";
// What every page does when script may run: light or dark, the field for searching, and the way to a result.
(() => {
  const root = document.documentElement;
  // The words, in the language of the page; the search has them as well.
  const texts = { /* texts */ };
  window.exportRoomTexts = texts;
  const themes = ["system", "light", "dark"];
  const key = "export-room-theme";
  let theme = "system";
  try {
    theme = localStorage.getItem(key) || theme;
  } catch {
    // Some browsers keep nothing for pages from a directory.
  }
  const dress = () => {
    if (theme === "light" || theme === "dark") {
      root.dataset.theme = theme;
    } else {
      theme = "system";
      delete root.dataset.theme;
    }
  };
  dress();

  // A result names a message by its place on the page; its permalink is on the page.
  const arrive = () => {
    const place = /^#o-(\d+)$/.exec(location.hash);
    const message = place && document.querySelectorAll("article.m")[Number(place[1])];
    if (message) {
      location.replace("#" + encodeURIComponent(message.id));
    }
  };
  addEventListener("hashchange", arrive);

  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) {
      made.setAttribute(attribute, value);
    }
    made.append(...children);
    return made;
  };

  addEventListener("DOMContentLoaded", () => {
    const tools = element("section", { class: "tools", "aria-label": root.dataset.search ? texts.search : texts.colours });
    if (root.dataset.search) {
      const field = element("input", {
        id: "search", type: "search", autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
        placeholder: texts.search, "aria-keyshortcuts": "/",
      });
      const form = element("form", { class: "find", role: "search" },
        element("label", { class: "vh", for: "search" }, texts.search), field);
      form.addEventListener("submit", (event) => event.preventDefault());
      // The program comes when it is wanted: most pages are only read.
      const load = () => {
        field.removeEventListener("focus", load);
        field.removeEventListener("input", load);
        document.head.append(element("script", { src: root.dataset.search + "search.js" }));
      };
      field.addEventListener("focus", load);
      field.addEventListener("input", load);
      addEventListener("keydown", (event) => {
        const typing = event.target.closest && event.target.closest("input, select, textarea, [contenteditable]");
        if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
          event.preventDefault();
          field.focus();
        }
      });
      tools.append(form);
      // Who comes back to this page finds the search that was open.
      if (history.state && history.state.search && history.state.search.open) {
        load();
      }
    }
    const choice = element("select", { id: "theme" },
      ...themes.map((name) => element("option", { value: name }, texts[name])));
    choice.value = theme;
    choice.addEventListener("change", () => {
      theme = choice.value;
      dress();
      try {
        localStorage.setItem(key, theme);
      } catch {
        // It lasts as long as this page.
      }
    });
    tools.append(element("span", { class: "theme" }, element("label", { for: "theme" }, texts.colours), " ", choice));
    const header = document.querySelector("header");
    if (header) {
      header.after(tools);
    } else {
      document.body.prepend(tools);
    }
    arrive();
  });
})();
