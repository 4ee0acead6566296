// Everything on the page works without this file; it only makes it friendlier.
"use strict";

// How many characters are left for a message.
for (const hint of document.querySelectorAll("[data-counts]")) {
  const field = document.getElementById(hint.dataset.counts);
  const atRest = hint.textContent;
  const show = () => {
    const left = field.maxLength - field.value.length;
    hint.textContent = field.value ? `${left} characters left.` : atRest;
  };
  field.addEventListener("input", show);
  show();
}

// A picture that is too large is refused before it travels.
for (const field of document.querySelectorAll("input[data-max-bytes]")) {
  field.addEventListener("change", () => {
    const isTooLarge = field.files[0]?.size >= Number(field.dataset.maxBytes);
    field.setCustomValidity(isTooLarge ? "This picture is too large." : "");
    field.reportValidity();
  });
}

// Times in the visitor's own zone and manner.
const manner = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = time.textContent;
  time.textContent = manner.format(new Date(time.dateTime));
}

// One entry, however often the button is pressed. Coming back by the Back button frees it again.
for (const form of document.querySelectorAll("form")) {
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", () => { button.disabled = true; });
  addEventListener("pageshow", () => { button.disabled = false; });
}
