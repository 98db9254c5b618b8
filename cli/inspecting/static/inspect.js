"use strict";
// Draws what /api/… says. Everything that comes from data is put in as text.

const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=inspect-token]").content;
const MARKS = { passed: "✓", stopped: "✗", moved: "↕", said: "·", unknown: "?" };
const SENT = [["watch", "Watch", "Watch"], ["click", "Click", "Click"], ["not_interested", "✕", "Not interested"]];
let current = null;
let places = new Map();
let asked = 0;

async function get(path, values = {}) {
  const answer = await fetch(`api/${path}?${new URLSearchParams(values)}`);
  return read(answer);
}

async function read(answer) {
  const body = await answer.json().catch(() => ({ detail: `no JSON, status ${answer.status}` }));
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

function tell(problem) {
  byId("problem").hidden = !problem;
  byId("problem").textContent = problem || "";
}

async function guarded(work) {
  try { await work(); } catch (error) { tell(error.message); }
}

function line(item) {
  const facts = [item.year, item.genres.slice(0, 2).join(", ")].filter(Boolean).join(" · ");
  return element("span", { className: "soft" }, facts);
}

// Users

async function findUsers() {
  const number = ++asked;
  const found = await get("users", { prefix: byId("prefix").value.trim() });
  if (number !== asked) return;
  const links = found.map((user) => element("a", { href: `#user=${encodeURIComponent(user)}` }, user));
  byId("found").replaceChildren(...links, found.length ? "" : element("span", { className: "soft" }, "No user begins so."));
  byId("found").hidden = current !== null && document.activeElement !== byId("prefix");
}

function here() {
  const values = new URLSearchParams(location.hash.slice(1));
  return { user: values.get("user"), item: values.get("item") };
}

async function go() {
  const { user, item } = here();
  tell("");
  await guarded(showState);
  if (!user) {
    current = null;
    byId("main").hidden = true;
    byId("found").hidden = false;
    return guarded(findUsers);
  }
  const fresh = user !== current;
  current = user;
  byId("found").hidden = true;
  if (fresh) {
    byId("main").hidden = true;
    places = new Map();
    byId("said").textContent = "";
    byId("answer").replaceChildren(element("p", { className: "soft" }, "Choose an item of the page, or type one."));
    byId("history").replaceChildren(element("li", { className: "soft" }, "Reading the table …"));
  }
  await guarded(async () => {
    if (fresh) {
      await showUser();
      guarded(() => showHistory(user));
    }
    if (item) await showWhy(user, item);
  });
}

async function showState() {
  const now = await get("state");
  byId("state").textContent = `generation ${now.generation} · ${now.hour} · model ${now.model}` +
    (now.takedowns ? ` · ${now.takedowns} taken down` : "");
  if (now.problem) tell(`The control record cannot be followed: ${now.problem}`);
}

async function showUser() {
  const user = current;
  const seen = await get("user", byId("explore").checked ? { user, explore: 1 } : { user });
  if (user !== current) return;
  byId("main").hidden = false;
  byId("prefix").value = user;
  byId("name").textContent = user;
  const profile = seen.profile;
  const facts = {
    list: profile.items === null ? profile.list : `${profile.items} items`, "first tier": seen.source,
    region: profile.region || "unknown", "maturity limit": profile.maturity_limit, segment: profile.segment || "unknown",
    "events known until": profile.watermark || "–", "hidden items": profile.hidden, group: profile.assigned,
  };
  byId("profile").replaceChildren(...Object.entries(facts).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))));
  const before = places;
  places = new Map(seen.items.map((item, place) => [item.item_id, place]));
  byId("items").replaceChildren(...seen.items.map((item, place) => card(item, place, before)));
  showRules(seen.rules);
  byId("ring").replaceChildren(...seen.ring.map((row) => ringRow(row, seen.ring)), seen.ring_problem || "");
  const events = seen.session.map((event) => past(event, event.in_list ? "in the list already" : "on top of the list"));
  byId("session").replaceChildren(...(events.length ? events : [element("li", { className: "soft" }, "Nothing since the list.")]));
}

// The page

function card(item, place, before) {
  const was = before.get(item.item_id);
  const moved = before.size && was !== place ? (was === undefined ? "new" : was > place ? `↑${was - place}` : `↓${place - was}`) : null;
  const notes = [
    element("span", { className: `chip ${item.tier}` }, item.tier),
    item.held_by ? element("span", { className: "chip held" }, `waited: ${item.held_by.replace("_", " ")}`) : null,
    moved ? element("span", { className: "chip moved" }, moved) : null,
  ];
  const buttons = SENT.map(([kind, sign, name]) => {
    const button = element("button", { type: "button", title: `${name}: sends a real event`, "aria-label": name }, sign);
    button.addEventListener("click", () => guarded(() => send(kind, item)));
    return button;
  });
  const why = element("a", { className: "ask", href: address(item.item_id) }, "Why?");
  const meter = element("meter", { min: 0, max: 1, value: item.score, "aria-label": "score" });
  const made = element("li", { className: "card" },
    element("div", { className: "face" }, cover(item), element("b", { className: "place" }, String(place + 1))),
    element("div", { className: "text" },
      element("strong", {}, item.title), line(item), element("em", {}, item.reason),
      element("span", { className: "score" }, meter, item.score.toFixed(3)),
      element("span", { className: "soft sum" }, sum(item.parts)), element("span", { className: "chips" }, ...notes)),
    element("div", { className: "actions" }, ...buttons, why));
  made.dataset.item = item.item_id;
  return made;
}

function sum(parts) {
  if (parts.log_odds === null) return "";
  const added = ["context", "freshness", "similar", "genre"].filter((name) => parts[name])
    .map((name) => `${parts[name] < 0 ? "−" : "+"} ${Math.abs(parts[name]).toFixed(2)} ${name}`);
  return [parts.log_odds.toFixed(2).replace("-", "−"), ...added].join(" ");
}

function address(item) {
  return `#${new URLSearchParams({ user: current, item })}`;
}

async function send(kind, item) {
  const answer = await fetch("api/events", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Inspect-Token": token },
    body: JSON.stringify({ user_id: current, item_id: item.item_id, event_type: kind }),
  }).then(read);
  const before = new Set(places.keys());
  await showUser();
  const came = [...places.keys()].filter((id) => !before.has(id)).length;
  const gone = places.has(item.item_id) ? "stays on the page" : "is off the page";
  const kept = answer.reflected ? "" : " The session did not take it.";
  byId("said").textContent = `Sent: ${kind} of “${item.title}”. It ${gone}; ${came} new.${kept}`;
}

function showRules(rules) {
  const held = Object.entries(rules.held).map(([rule, count]) => `${count} waited for ${rule.replace("_", " ")}`);
  const gone = `${rules.removed.length} of the stored list removed by filters`;
  byId("rules").firstElementChild.textContent = [gone, ...held].join(" · ");
  byId("rules").lastElementChild.replaceChildren(...rules.removed.map((item) => element("li", {},
    element("span", { className: "chip bad" }, item.rule),
    item.item_id ? element("a", { href: address(item.item_id) }, item.title) : item.title)));
}

// The ring

function ringRow(row, all) {
  const shown = all.find((each) => each.shown);
  const known = new Set(shown ? shown.items.map((item) => item.item_id) : []);
  const items = row.items.map((item) => element("li", {},
    element("a", { href: address(item.item_id || ""), className: row.shown || known.has(item.item_id) ? "" : "other" }, item.title),
    element("span", { className: "soft" }, ` ${item.source} ${item.score.toFixed(2)}`)));
  const head = row.generation === null ? `Place ${row.place}` : `Place ${row.place} · generation ${row.generation}`;
  return element("article", { className: row.shown ? "shown" : "" },
    element("h3", {}, head), element("p", { className: row.shown ? "good" : "soft" }, row.why),
    row.generation === null ? null : element("p", { className: "soft" }, `${row.count} items, events until ${row.watermark}`),
    element("ol", {}, ...items));
}

// What the user did

function past(event, note) {
  const what = event.event_type + (event.rating ? ` ${event.rating}` : "") + (event.completed ? ", to the end" : "");
  const about = event.item_id ? element("a", { href: address(event.item_id) }, event.title) : event.title;
  return element("li", {}, element("span", { className: `chip ${event.event_type}` }, what), about,
    element("span", { className: "soft when" }, event.timestamp + (note ? ` · ${note}` : "")));
}

async function showHistory(user) {
  const events = await get("history", { user });
  if (user !== current) return;
  const rows = events.map((event) => past(event, ""));
  byId("history").replaceChildren(...(rows.length ? rows : [element("li", { className: "soft" }, "No event of this user.")]));
}

// Why

async function showWhy(user, item) {
  byId("item").value = item;
  byId("meant").replaceChildren();
  byId("answer").replaceChildren(element("p", { className: "soft" }, "Asking the service …"));
  const place = byId("why");
  if (place.getBoundingClientRect().top > innerHeight || place.getBoundingClientRect().bottom < 0) place.scrollIntoView();
  try {
    const now = await get("why", { user, item });
    if (here().item !== item) return;
    const waiting = element("p", { className: "soft", id: "waiting" }, "Scoring the user again, as the batch did …");
    byId("answer").replaceChildren(...said(now), waiting);
    const whole = await get("why", { user, item, batch: 1 });
    if (here().item === item) byId("answer").replaceChildren(...said(whole));
  } catch (error) {
    byId("answer").replaceChildren(element("p", { className: "bad" }, error.message));
  }
}

function said(answer) {
  const made = [element("h3", {}, answer.title), element("p", { className: "verdict" }, answer.verdict)];
  for (const [name, steps] of [["In the service", answer.service], ["In the batch", answer.batch]]) {
    if (steps.length) made.push(element("h4", {}, name), element("ol", { className: "steps" }, ...steps.map((step) =>
      element("li", { className: step.mark }, element("b", { "aria-label": step.mark }, MARKS[step.mark]),
        element("span", {}, element("strong", {}, step.stage), " ", step.text)))));
  }
  return made;
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("item").value.trim();
  if (text) guarded(async () => {
    const found = await get("items", { q: text });
    const exact = found.length && (found[0].item_id === text || found.length === 1) ? found[0].item_id : null;
    if (exact || !found.length) {
      const next = address(exact || text);
      if (location.hash === next) await showWhy(current, exact || text); else location.hash = next;
      return;
    }
    byId("meant").replaceChildren(...found.map((item) => element("a", { href: address(item.item_id) }, item.title, " ", line(item))));
  });
});
let typing = 0;
byId("prefix").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => guarded(findUsers), 150);
});
byId("prefix").addEventListener("focus", () => { byId("prefix").select(); guarded(findUsers); });
byId("pick").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = `#${new URLSearchParams({ user: byId("prefix").value.trim() })}`;
});
byId("explore").addEventListener("change", () => guarded(showUser));
byId("again").addEventListener("click", () => guarded(async () => { await showState(); await showUser(); }));
addEventListener("hashchange", go);
go();
