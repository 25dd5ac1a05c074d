// Keeps a page up to date without loading it anew. Everything works without this; nothing here is needed to act.
(() => {
  "use strict";
  const main = document.getElementById("main");
  const $ = (id) => document.getElementById(id);
  const body = document.body;
  const each = (what, from, act) => from.querySelectorAll(what).forEach(act);
  let ahead = body.dataset.now * 1000 - Date.now(); // the broker's clock against this one
  let local = store("zone") === "local", keysOn = store("keys") !== "off", paused = false;

  function store(name, value) {
    try {
      if (value !== undefined) localStorage.setItem("taskq-" + name, value);
      return localStorage.getItem("taskq-" + name);
    } catch { return null; }
  }
  const tell = (text) => { $("told").textContent = text; };

  // ---- times: they count by themselves, so that an answer which says nothing new is the same answer
  const two = (n) => String(n).padStart(2, "0");
  const units = [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]];
  function span(s, coarse) {
    s = Math.max(0, Math.floor(s));
    for (const [big, n, small, m] of units) if (s >= n) {
      const rest = coarse ? 0 : Math.floor(s % n / m);
      return Math.floor(s / n) + " " + big + (rest ? " " + rest + " " + small : "");
    }
    return s + " s";
  }
  function stamp(ms) {
    const d = new Date(ms), u = !local, g = (f) => d[(u ? "getUTC" : "get") + f]();
    return g("FullYear") + "-" + two(g("Month") + 1) + "-" + two(g("Date")) + " " + two(g("Hours")) + ":" +
      two(g("Minutes")) + ":" + two(g("Seconds")) + (u ? " UTC" : "");
  }
  function say(el, text) { if (el.textContent !== text) el.textContent = text; }
  function times() {
    const now = Date.now() + ahead;
    each("time[datetime]", document, (el) => {
      const at = Date.parse(el.dateTime), age = (now - at) / 1000;
      if (isNaN(at)) return;
      if ("ago" in el.dataset) say(el, Math.abs(age) < 1 ? "now" : age > 0 ? span(age, true) + " ago" : "in " + span(-age, true));
      else if ("for" in el.dataset) say(el, span(age));
      else if ("at" in el.dataset) say(el, stamp(at));
      if (!("at" in el.dataset)) el.title = ("for" in el.dataset ? "since " : "") + stamp(at);
    });
  }

  // ---- merging: what is there stays the same element, so focus, selection and what is open stay too
  const keyOf = (el) => el.nodeType === 1 && (el.getAttribute("data-key") || el.getAttribute("id")) || ""; // a form's fields hide its own id
  const busy = (el) => el.contains(document.activeElement) && el !== document.body ||
    el.querySelector("details[open],input:checked") || el.matches("details[open]");
  function merge(old, fresh) {
    if (old.nodeType !== 1) { if (old.data !== fresh.data) old.data = fresh.data; return; }
    if (old.isEqualNode(fresh)) return;
    const counts = old.localName === "time" && !fresh.childNodes.length;
    for (const { name, value } of fresh.attributes)
      if (old.getAttribute(name) !== value && !(counts && name === "title")) old.setAttribute(name, value);
    for (const { name } of [...old.attributes])
      if (!fresh.hasAttribute(name) && !["open", "class", "tabindex"].includes(name)) old.removeAttribute(name);
    if (counts || /^(input|textarea|select)$/.test(old.localName)) return;
    children(old, fresh);
  }
  const alike = (a, b) => a && b && a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
  function children(old, fresh) {
    const mode = old.dataset.rows;
    const kept = new Map();
    for (const el of old.childNodes) if (keyOf(el)) kept.set(keyOf(el), el);
    const wanted = [...fresh.childNodes];
    const names = new Set(wanted.map(keyOf));
    if (mode === "held" && old.childElementCount) { // rows that are read stay where they are; new ones wait
      const known = (el) => kept.has(keyOf(el)), rows = wanted.filter((el) => el.nodeType === 1);
      news(old, rows.filter((el) => !known(el)).length, fresh);
      for (const el of rows) if (known(el)) merge(kept.get(keyOf(el)), el);
      for (const [name, el] of kept) el.classList.toggle("gone", !names.has(name));
      return;
    }
    const loose = /^(main|section|div|form|ul|ol|dl|table|tbody|tr|nav)$/.test(old.localName);
    const blank = (el) => loose && el && (el.nodeType === 3 ? !el.data.trim() : el.nodeType === 1 && (el.className === "news" || el.getAttribute("role") === "status")); // means nothing here
    const skip = (el) => { while (blank(el)) el = el.nextSibling; return el; };
    let at = skip(old.firstChild);
    for (const el of wanted) {
      if (blank(el)) continue;
      const name = keyOf(el);
      let match = name ? kept.get(name) : at;
      while (!name && match && keyOf(match)) match = match.nextSibling;
      if (match && alike(match, el)) {
        if (match !== at) { if (busy(match)) { merge(match, el); continue; } old.insertBefore(match, at); }
        else at = skip(at.nextSibling);
        merge(match, el);
      } else {
        const made = document.importNode(el, true);
        if (mode && made.classList) made.classList.add("fresh");
        old.insertBefore(made, at);
        if (!name && match === at && at && !keyOf(at)) { const gone = at; at = skip(at.nextSibling); gone.remove(); }
      }
    }
    while (at) {
      const next = at.nextSibling;
      if (!(keyOf(at) && names.has(keyOf(at)))) {
        if (at.nodeType === 1 && busy(at)) at.classList.add("gone"); else at.remove();
      }
      at = next;
    }
  }
  function news(rows, count, fresh) {
    const place = rows.closest("table,ul") || rows;
    let bar = place.previousElementSibling;
    if (!bar || !bar.classList.contains("news")) {
      if (!count) return;
      bar = document.createElement("p");
      bar.className = "news";
      bar.append(document.createElement("button"));
      place.before(bar);
    }
    bar.hidden = !count;
    const button = bar.firstChild;
    say(button, count + " new");
    button.type = "button";
    button.onclick = () => {
      rows.replaceChildren(...[...fresh.childNodes].map((el) => document.importNode(el, true)));
      bar.remove(); times(); ticked(); main.focus({ preventScroll: true });
    };
  }
  function show(text) {
    const doc = new DOMParser().parseFromString(text, "text/html"), fresh = doc.querySelector("main");
    if (!fresh) return;
    children(main, fresh);
    each("[data-key=failed-count]", doc, (el) => each("[data-key=failed-count]", document, (old) => {
      old.hidden = el.hidden; merge(old, el);
    }));
    times(); ticked();
  }

  // ---- asking: one request at a time, none while hidden, rarer when it is slow or fails
  const EVERY = 3000, MOST = 60000;
  let tag = "", wait = EVERY, timer = 0, asking = false, seen = Date.now();
  async function ask() {
    clearTimeout(timer);
    if (asking || paused || document.hidden || !main.hasAttribute("data-live")) return;
    asking = true;
    const began = performance.now();
    try {
      const headers = { "X-Taskq-Live": "1" };
      if (tag) headers["If-None-Match"] = tag;
      const answer = await fetch(location.href, { headers, cache: "no-store", credentials: "same-origin" });
      if (!ours(answer)) { out(); return; }
      if (answer.status !== 304 && !answer.ok) throw new Error(answer.status);
      ahead = answer.headers.get("X-Taskq-Now") * 1000 - Date.now();
      if (answer.status !== 304) { tag = answer.headers.get("ETag") || ""; show(await answer.text()); }
      seen = Date.now();
      wait = Math.min(MOST, Math.max(EVERY, 20 * (performance.now() - began)));
      if (lost) tell("Up to date again."), lost = false;
    } catch {
      wait = Math.min(MOST, wait * 2);
      if (!lost) tell("The page is not up to date: no answer."), lost = true;
    }
    asking = false;
    pulse();
    timer = setTimeout(ask, wait);
  }
  let lost = false, signedOut = false;
  // A host sends whoever is not signed in to its login page, which is not to be taken for this one.
  const ours = (answer) => !answer.redirected && answer.status !== 401 && (answer.headers.has("X-Taskq-Now") || !answer.ok && answer.status !== 304);
  function out() {
    signedOut = lost = true;
    tell("You are signed out. Load the page again.");
    pulse();
  }
  function pulse() {
    const el = $("pulse"), age = span((Date.now() - seen) / 1000);
    el.parentNode.classList.toggle("lost", lost);
    say(el, signedOut ? "signed out: load the page again" : paused ? "paused" : lost ? "no answer for " + age + ", next try in " + span(wait / 1000) : "updated " + age + " ago");
  }
  function setPaused(on) {
    paused = on;
    $("pause").textContent = on ? "Go on" : "Pause";
    tell(on ? "Updates are paused." : "Updates go on.");
    if (!on) ask();
    pulse();
  }

  // ---- ticking rows
  const boxes = () => [...main.querySelectorAll("input[name=id]")];
  function ticked() {
    const all = boxes(), on = all.filter((box) => box.checked);
    each("[data-ticked]", main, (el) => say(el, on.length ? on.length + " selected" : "None selected"));
    each("[data-needs-ticks]", main, (el) => {
      if (el.tagName === "BUTTON") el.disabled = !on.length;
      else on.length ? el.removeAttribute("aria-disabled") : el.setAttribute("aria-disabled", "true");
    });
    each("[data-tick-all]", main, (el) => {
      el.hidden = false;
      el.checked = all.length > 0 && on.length === all.length;
      el.indeterminate = on.length > 0 && on.length < all.length;
    });
  }
  main.addEventListener("change", (event) => {
    if (event.target.matches("[data-tick-all]")) boxes().forEach((box) => { box.checked = event.target.checked; });
    if (event.target.matches("[data-goes]")) event.target.form.requestSubmit();
    ticked();
  });

  // ---- long work: a form that goes on by itself until it is done or stopped
  async function goOn(form) {
    const halt = document.createElement("button");
    let stopped = false;
    halt.type = "button"; halt.textContent = "Stop";
    halt.onclick = () => { stopped = true; halt.disabled = true; };
    while (form && !stopped) {
      each("button", form, (el) => { el.hidden = true; });
      form.append(halt);
      const said = new URLSearchParams(new FormData(form)), post = form.getAttribute("method") === "post";
      const query = post ? "" : "?" + said;
      let answer;
      try {
        const headers = { "X-Taskq-Live": "1" }; // so that what was done is still said by the page that is gone to
        answer = await fetch(form.getAttribute("action") + query, post ? { method: "POST", body: said, headers } : { headers });
      } catch { tell("No answer. Press Go on to try again."); break; }
      if (answer.redirected) { location.replace(answer.url); return; } // it is done; to load that anew does nothing again
      if (!ours(answer)) { out(); break; }
      const doc = new DOMParser().parseFromString(await answer.text(), "text/html"), fresh = doc.querySelector("main");
      if (!fresh) break;
      main.replaceChildren(...[...fresh.childNodes].map((el) => document.importNode(el, true)));
      form = main.querySelector("form[data-goes-on]");
      times();
    }
    halt.remove();
    each("form[data-goes-on] button", main, (el) => { el.hidden = false; });
    if (stopped) tell("Stopped.");
  }

  // ---- copying
  main.addEventListener("click", async (event) => {
    const closed = event.target.closest("details:not([open])>[aria-disabled]");
    if (closed) event.preventDefault();
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try { await navigator.clipboard.writeText($(button.dataset.copy).textContent); say(button, "Copied"); tell("Copied."); }
    catch { getSelection().selectAllChildren($(button.dataset.copy)); say(button, "Press Ctrl-C"); }
  });

  // ---- keys
  let gone = 0;
  const rows = () => [...main.querySelectorAll("[data-rows] > [data-key]")];
  function step(by) {
    const all = rows(), at = all.findIndex((el) => el.contains(document.activeElement));
    const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
    const target = next && next.querySelector("summary,a,input,button");
    if (target) { target.focus(); next.scrollIntoView({ block: "nearest" }); }
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") each("details.sure[open]", main, (el) => { el.open = false; el.firstChild.focus(); });
    if (!keysOn || event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.nodeName) && event.target.type !== "checkbox") return;
    const go = Date.now() - gone < 1500 && document.querySelector('[data-go="' + CSS.escape(event.key) + '"]');
    if (go) { location.href = go.href; return; }
    const row = rows().find((el) => el.contains(document.activeElement)), box = row && row.querySelector("input[name=id]");
    switch (event.key) {
      case "g": gone = Date.now(); break;
      case "j": step(1); break;
      case "k": step(-1); break;
      case "x": if (box) { box.checked = !box.checked; ticked(); } break;
      case "/": $("find").focus(); event.preventDefault(); break;
      case ".": setPaused(!paused); break;
      case "?": $("help").showModal(); break;
    }
  });

  // ---- beginning
  each("[data-copy]", main, (el) => { el.hidden = false; });
  each(".pulse", document, (el) => { el.hidden = false; });
  if (!main.hasAttribute("data-live")) { $("pulse").hidden = $("pause").hidden = true; }
  $("pause").onclick = () => setPaused(!paused);
  const zone = $("zone");
  const name = () => say(zone, local ? "UTC" : "Local time");
  zone.onclick = () => { local = !local; store("zone", local ? "local" : "utc"); name(); times(); };
  $("keys").onclick = () => $("help").showModal();
  $("keys-on").checked = keysOn;
  $("keys-on").onchange = (event) => { keysOn = event.target.checked; store("keys", keysOn ? "on" : "off"); };
  document.addEventListener("click", (event) => each("details.sure[open]", main, (el) => { if (!el.contains(event.target)) el.open = false; }));
  document.addEventListener("visibilitychange", ask);
  name(); times(); ticked(); pulse();
  setInterval(() => { if (!document.hidden) { times(); pulse(); } }, 1000);
  timer = setTimeout(ask, EVERY);
  goOn(main.querySelector("form[data-goes-on]"));
})();
