// Elements are made with text, never with markup: names of files and texts of models are shown as they are.
export const at = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const made = tag === "svg" || tag === "path" || tag === "rect"
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") Object.assign(made.style, value);
    else if (name === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const percent = (share) => `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
