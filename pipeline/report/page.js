"use strict";
(function () {
  const HEIGHT = 52, SPARE = 8;
  const byId = (id) => document.getElementById(id);
  const packed = byId("packed"), list = byId("list"), search = byId("search"), gone = byId("gone"), story = byId("story");
  if (!packed) return;
  let data = null, hay = [], rows = [], index = new Map(), active = -1, selected = -1;

  function make(tag, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  const label = (at) => data.name[at] || "#" + data.number[at];
  const operator = (at) => data.words[data.operator[at]];
  const place = (at) => (data.place[at] < 0 ? "" : data.places[data.place[at]]);

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows = [];
    for (let at = 0; at < hay.length; at++) {
      if (data.removed[at] >= 0 && !gone.checked) continue;
      if (words.every((word) => hay[at].includes(word))) rows.push(at);
    }
    byId("count").textContent = rows.length.toLocaleString("en") + (rows.length === 1 ? " node" : " nodes");
    active = rows.indexOf(selected);
    list.scrollTop = active < 0 ? 0 : Math.max(0, active * HEIGHT - list.clientHeight / 2);
    draw();
  }

  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - SPARE);
    const last = Math.min(rows.length, Math.ceil((list.scrollTop + list.clientHeight) / HEIGHT) + SPARE);
    const inner = make("div");
    inner.setAttribute("role", "presentation");
    inner.style.height = rows.length * HEIGHT + "px";
    for (let row = first; row < last; row++) {
      const at = rows[row], option = make("div", undefined, data.removed[at] >= 0 ? "gone" : "");
      option.id = "option-" + row;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", String(row === active));
      option.setAttribute("aria-setsize", String(rows.length));
      option.setAttribute("aria-posinset", String(row + 1));
      option.style.top = row * HEIGHT + "px";
      // The end of a path tells nodes apart; the whole of it is in the story.
      const path = label(at).split("/"), title = make("b", path.pop());
      option.append(title, make("span", operator(at) + "  ·  " + (place(at) || path.join("/") || "no place on record")));
      option.addEventListener("click", () => choose(row));
      inner.append(option);
    }
    list.replaceChildren(inner);
    if (active >= first && active < last) list.setAttribute("aria-activedescendant", "option-" + active);
    else list.removeAttribute("aria-activedescendant");
  }

  function choose(row) {
    if (!rows.length) return;
    active = Math.min(Math.max(row, 0), rows.length - 1);
    const top = active * HEIGHT;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
    draw();
    tell(rows[active]);
  }

  function ancestors(at) {
    const found = new Set(), waiting = [at];
    while (waiting.length) {
      const one = waiting.pop();
      if (one === undefined || found.has(one)) continue;
      found.add(one);
      for (const parent of data.parents[one]) waiting.push(index.get(parent));
    }
    return [...found].sort((a, b) => data.number[a] - data.number[b]);
  }

  function chapters(at) {
    const found = [];
    for (const one of ancestors(at)) {
      found.push([data.born[one], one, "made", data.birth[one]]);
      for (const [when, kind, text] of data.chapters[one]) {
        if (one === at || when < data.born[at]) found.push([when, one, data.words[kind], text]);
      }
    }
    return found.sort((a, b) => a[0] - b[0] || data.number[a[1]] - data.number[b[1]]);
  }

  // The numbers of nodes in a sentence lead to their stories.
  function linked(text) {
    const line = make("span");
    let from = 0;
    for (const match of text.matchAll(/#(\d+)\b/g)) {
      const at = index.get(Number(match[1]));
      if (at === undefined) continue;
      line.append(text.slice(from, match.index));
      const button = make("button", match[0]);
      button.type = "button";
      button.addEventListener("click", () => go(at));
      line.append(button);
      from = match.index + match[0].length;
    }
    line.append(text.slice(from));
    return line;
  }

  function tell(at) {
    selected = at;
    const steps = make("ol");
    for (const [when, one, kind, text] of chapters(at)) {
      const step = make("li", undefined, kind.replace(" ", "-"));
      step.append(make("span", data.visits[when], "visit"), linked(kind === "made" ? text : kind + ": " + text), " ");
      step.append(make("span", "#" + data.number[one], "who"));
      steps.append(step);
    }
    const title = make("h3", label(at)), facts = make("p", operator(at) + " #" + data.number[at], "lead");
    if (data.outputs[at].length) facts.append(", makes the output " + data.outputs[at].join(", "));
    if (data.removed[at] >= 0) facts.append(", not in the file");
    const places = make("ul", undefined, "places"), known = new Set(ancestors(at).map(place).filter(Boolean));
    for (const one of known) places.append(make("li", one));
    story.replaceChildren(title, facts, known.size ? places : make("p", "No place of the user's code is on record.", "empty"), steps);
    story.scrollTop = 0;
    history.replaceState(null, "", "#node=" + data.number[at]);
  }

  function go(at) {
    if (!rows.includes(at)) {
      search.value = "";
      if (data.removed[at] >= 0) gone.checked = true;
      selected = at;
      filter();
    }
    choose(rows.indexOf(at));
  }

  function follow() {
    const match = /^#node=(\d+)$/.exec(location.hash);
    const at = match ? index.get(Number(match[1])) : undefined;
    if (at !== undefined && at !== selected) {
      go(at);
      byId("nodes").scrollIntoView();
    }
  }

  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
  function keys(event) {
    if (event.key in moves) choose(active + moves[event.key]);
    else if (event.key === "Home" && event.currentTarget === list) choose(0);
    else if (event.key === "End" && event.currentTarget === list) choose(rows.length - 1);
    else if (event.key === "Enter" && rows.length) choose(Math.max(active, 0));
    else return;
    event.preventDefault();
  }

  unpack(packed.textContent).then((found) => {
    data = found;
    for (let at = 0; at < data.number.length; at++) {
      index.set(data.number[at], at);
      hay.push((label(at) + " " + operator(at) + " " + place(at) + " #" + data.number[at] + " " + data.outputs[at].join(" ")).toLowerCase());
    }
    packed.remove();
    let waiting = 0;
    search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 60); });
    gone.addEventListener("change", filter);
    list.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    list.addEventListener("keydown", keys);
    search.addEventListener("keydown", keys);
    addEventListener("hashchange", follow);
    addEventListener("resize", draw);
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) { search.focus(); event.preventDefault(); }
    });
    search.disabled = gone.disabled = false;
    filter();
    follow();
    document.documentElement.dataset.ready = "yes";
  }).catch((error) => {
    byId("count").textContent = "The nodes cannot be unpacked by this browser: " + error;
    document.documentElement.dataset.ready = "failed";
  });
})();
