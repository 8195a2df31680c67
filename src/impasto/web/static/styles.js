// The paintings: those that ship and the visitor's own, one or several.
import { open } from "./brush.js";
import { bring, sentence } from "./store.js";

export function start(element, props, trigger, watch) {
  const tiles = element.querySelector(".tiles"), own = element.querySelector(".own");
  const facts = element.querySelector(".facts");

  const shares = element.querySelector(".shares");
  const kept = new Map(); // share and region of each painting, by its id
  let regions = false; // are there any on the photograph?

  const boxes = () => [...tiles.querySelectorAll("input[type=checkbox]")];
  const read = () => {
    props.value = boxes().filter(box => box.checked).map(box => ({
      id: box.value, name: box.dataset.name ?? box.value, url: `/studio/pictures/${box.value}`, weight: 1, ...kept.get(box.value),
    }));
    describe();
    trigger("change");
  };
  const describe = () => {
    facts.classList.remove("wrong");
    facts.textContent = "";
    const chosen = props.value || [];
    const wanted = chosen.length > 1 || regions ? chosen : [];
    shares.replaceChildren(...wanted.map(style => row(style, chosen.length > 1)));
  };
  // How much of a painting, and where.
  const row = (style, several) => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("span"), { textContent: style.name, className: "name" }));
    const keep = change => {
      kept.set(style.id, { ...kept.get(style.id), ...change });
      props.value = props.value.map(one => (one.id === style.id ? { ...one, ...change } : one));
      trigger("change");
    };
    if (several) {
      const share = Object.assign(document.createElement("input"), { type: "range", min: 1, max: 100, value: (style.weight ?? 1) * 50 });
      share.setAttribute("aria-label", `Share of ${style.name}`);
      share.addEventListener("change", () => keep({ weight: share.value / 50 }));
      item.append(share);
    }
    if (regions) {
      const where = document.createElement("select");
      where.setAttribute("aria-label", `Where ${style.name} is painted`);
      where.append(new Option("everywhere", "all"), new Option("in red", "red"), new Option("in blue", "blue"), new Option("by its own regions…", "own"));
      where.value = ["red", "blue"].includes(style.region) ? style.region : style.region && style.region !== "all" ? "own" : "all";
      where.addEventListener("change", async () => {
        if (where.value !== "own") return keep({ region: where.value });
        const result = await open({ picture: style, title: `Regions of ${style.name}`, inks: ["red", "blue"] });
        try {
          if (result) keep({ region: result.mask ? (await bring(result.mask)).id : "all" });
          describe();
        } catch (error) {
          describe();
          facts.textContent = sentence(error.message);
          facts.classList.add("wrong");
        }
      });
      item.append(where);
    }
    return item;
  };
  const add = style => {
    const label = document.createElement("label");
    label.className = "tile";
    label.title = style.name;
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: style.id });
    box.dataset.name = style.name;
    const image = Object.assign(document.createElement("img"), { src: `${style.url}?size=160`, alt: "" });
    const name = Object.assign(document.createElement("span"), { textContent: style.name });
    label.append(box, image, name);
    tiles.insertBefore(label, own);
    return box;
  };
  const take = async files => {
    for (const file of files) {
      own.classList.add("busy");
      facts.textContent = "Reading the painting…";
      try {
        const style = await bring(file);
        for (const box of boxes()) if (files.length === 1) box.checked = false;
        add(style).checked = true;
        read();
      } catch (error) {
        facts.textContent = sentence(error.message);
        facts.classList.add("wrong");
      }
      own.classList.remove("busy");
    }
  };
  const render = () => {
    const chosen = props.value || [];
    for (const style of chosen) if (style.url && !boxes().some(box => box.value === style.id)) add(style);
    for (const style of chosen) kept.set(style.id, { weight: style.weight ?? 1, region: style.region ?? "all" });
    for (const box of boxes()) box.checked = chosen.some(style => style.id === box.value);
    describe();
  };

  tiles.addEventListener("change", event => {
    if (event.target.type === "checkbox") read();
  });
  element.querySelector("#styles-file").addEventListener("change", event => {
    take([...event.target.files]);
    event.target.value = "";
  });
  for (const kind of ["dragenter", "dragover"])
    tiles.addEventListener(kind, event => (event.preventDefault(), own.classList.add("over")));
  for (const kind of ["dragleave", "drop"])
    tiles.addEventListener(kind, event => (event.preventDefault(), own.classList.remove("over")));
  tiles.addEventListener("drop", event => take([...event.dataTransfer.files]));
  element.querySelector("#try-all").addEventListener("click", () => trigger("sheet"));
  document.addEventListener("impasto:regions", event => {
    regions = event.detail;
    describe();
  });
  document.addEventListener("impasto:style", event => {
    props.value = [{ id: event.detail, name: event.detail, url: `/studio/pictures/${event.detail}` }];
    render();
    trigger("change");
  });
  watch("value", render);
  render();
}
