"use strict";
// Small builders of the page's elements, and a cover for any item: drawn here, so that nothing is loaded for it.

const SVG = "http://www.w3.org/2000/svg";
const withImages = document.querySelector("meta[name=inspect-images]").content === "yes";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && key !== "list") made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function hue(text) {
  let number = 7;
  for (const letter of text) number = (number * 31 + letter.codePointAt(0)) % 3600;
  return number / 10;
}

function lines(title, width, most) {
  const found = [""];
  for (const word of title.split(/\s+/)) {
    const last = found[found.length - 1];
    if (last && (last + " " + word).length > width) found.push(word); else found[found.length - 1] = (last + " " + word).trim();
  }
  const cut = found.map((line) => line.length > width + 2 ? line.slice(0, width + 1) + "…" : line);
  return cut.length > most ? [...cut.slice(0, most - 1), cut[most - 1] + " …"] : cut;
}

function cover(item) {
  if (withImages && item.thumbnail) {
    const picture = element("img", { className: "cover", src: item.thumbnail, alt: "", loading: "lazy" });
    picture.addEventListener("error", () => picture.replaceWith(generated(item)), { once: true });
    return picture;
  }
  return generated(item);
}

function generated(item) {
  const genre = item.genres[0] || "";
  const [main, second] = [hue(genre || item.title), hue(item.title)];
  const picture = drawn("svg", { class: "cover", viewBox: "0 0 200 270", "aria-hidden": "true" },
    drawn("rect", { width: 200, height: 270, fill: `hsl(${main} 42% 30%)` }),
    drawn("circle", { cx: 30 + second % 140, cy: 40 + second % 70, r: 62 + second % 40, fill: `hsl(${main} 55% 46% / 0.55)` }),
    drawn("rect", { y: 150 + second % 50, width: 200, height: 130, fill: `hsl(${main} 45% 18% / 0.6)` }));
  lines(item.title, 13, 5).forEach((line, place) => picture.append(
    drawn("text", { x: 16, y: 130 + place * 24, fill: "#fff", "font-size": 20, "font-weight": 700 }, line)));
  picture.append(drawn("text", { x: 16, y: 254, fill: "#fff", "fill-opacity": 0.75, "font-size": 14 }, genre));
  return picture;
}
