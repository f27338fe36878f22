// Making elements. Texts are always texts: nothing here reads markup.

/**
 * An element with attributes and children. Functions among the attributes listen to the event of
 * that name; `false`, `null` and `undefined` leave an attribute or a child out, `true` sets it.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== false && child != null));
  return made;
}

/** A text in which what stands between backquotes is code. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

/** A table with a caption for those who do not see it, and rows of cells. */
export function table(caption, headings, rows) {
  const head = headings.map((heading) => element("th", { scope: "col" }, heading));
  const body = rows.map((cells) => element("tr", {}, cells.map((cell) => element("td", {}, cell))));
  return element(
    "div",
    { class: "scroll" },
    element(
      "table",
      {},
      element("caption", { class: "unseen" }, caption),
      element("thead", {}, element("tr", {}, head)),
      element("tbody", {}, body),
    ),
  );
}

/** A text to be read as it is, with a button that copies it. */
export function copyable(text, content = text) {
  const block = element("pre", { tabindex: "0" }, element("code", {}, content));
  const button = element("button", { type: "button", class: "copy", click: copy }, "Copy");
  async function copy() {
    button.textContent = (await toClipboard(text, block)) ? "Copied" : "Selected";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 1500);
  }
  return element("div", { class: "copyable" }, block, button);
}

/** Puts a text on the clipboard; where the browser does not let us, selects it instead. */
async function toClipboard(text, block) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(block);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return false;
  }
}
