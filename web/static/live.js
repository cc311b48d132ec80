// Keeps the live part of a page gentle: an unchanged part is not fetched twice, and what the
// reader opened stays open.
"use strict";

(() => {
  let etag = null;
  let opened = [];

  const live = () => document.getElementById("live");

  document.addEventListener("htmx:configRequest", (event) => {
    const known = etag || (live().dataset.etag ? `"${live().dataset.etag}"` : null);
    if (known) event.detail.headers["If-None-Match"] = known;
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    etag = event.detail.xhr.getResponseHeader("ETag");
    opened = [...document.querySelectorAll("#live details[open]")].map((found) => found.id);
  });

  document.addEventListener("htmx:afterSettle", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  });
})();
