"use strict";
// Keeps the part of a page that changes up to date, once a second while somebody can see it.
const live = document.querySelector("[data-live]");
let tag = "";

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(live.dataset.live, {
    headers: { "X-Requested-By": "page.js", ...(tag ? { "If-None-Match": tag } : {}) },
    cache: "no-store",
  });
  if (answer.status === 401) { location.assign("/login"); return; }
  if (!answer.ok) return;
  tag = answer.headers.get("ETag") || "";
  const text = await answer.text();
  const focused = document.activeElement && live.contains(document.activeElement) ? document.activeElement : null;
  const selector = focused && (focused.id ? `#${focused.id}` : focused.href ? `a[href="${focused.getAttribute("href")}"]` : "");
  live.innerHTML = text;  // made and escaped by the server
  if (selector) live.querySelector(selector)?.focus();
}

async function keepFresh() {
  for (;;) {
    await new Promise(wake => setTimeout(wake, 1000));
    try { await refresh(); } catch { await new Promise(wake => setTimeout(wake, 4000)); }
  }
}

if (live) keepFresh();
