// The photograph: chosen, dropped, pasted, or one of the samples.
import { open } from "./brush.js";
import { bring, sentence } from "./store.js";

export function start(element, props, trigger, watch) {
  const find = selector => element.querySelector(selector);
  const drop = find(".drop"), facts = find(".facts"), image = find(".chosen");

  let look = null; // id of the photograph over which the brush drew

  const render = () => {
    const photo = props.value;
    document.dispatchEvent(new CustomEvent("impasto:regions", { detail: Boolean(photo?.mask) }));
    drop.classList.toggle("filled", Boolean(photo));
    image.hidden = find(".brush-open").hidden = !photo;
    find(".drawn").hidden = !photo || !(photo.protect || photo.mask) || look !== photo.id;
    if (photo) {
      image.src = `${photo.url}?size=800`;
      image.alt = `The photograph, ${photo.name}`;
      const guides = [photo.protect && "an area is kept", photo.mask && "regions are drawn"].filter(Boolean);
      facts.textContent = [photo.name, photo.width && `${photo.width} × ${photo.height}`, ...guides].filter(Boolean).join(", ");
    }
    for (const sample of element.querySelectorAll(".sample"))
      sample.setAttribute("aria-pressed", String(sample.dataset.id === photo?.id));
  };
  const choose = photo => {
    props.value = photo;
    facts.classList.remove("wrong");
    render();
    trigger("change");
  };
  const take = async file => {
    if (!file) return;
    drop.classList.add("busy");
    facts.textContent = "Reading the photograph…";
    try {
      choose(await bring(file));
    } catch (error) {
      facts.textContent = sentence(error.message);
      facts.classList.add("wrong");
    }
    drop.classList.remove("busy");
  };

  const brush = async () => {
    const photo = props.value;
    const result = await open({ picture: photo, title: "What stays, and regions", inks: ["protect", "red", "blue"] });
    if (!result) return;
    const id = async file => (file ? (await bring(file)).id : null);
    try {
      const guides = { protect: await id(result.protect), mask: await id(result.mask) };
      if (props.value?.id !== photo.id) return; // another photograph was chosen meanwhile
      look = result.look ? photo.id : null;
      if (result.look) find(".drawn").src = result.look;
      choose({ ...photo, ...guides });
    } catch (error) {
      facts.textContent = sentence(error.message);
      facts.classList.add("wrong");
    }
  };
  find(".brush-open").addEventListener("click", brush);

  find("input").addEventListener("change", event => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  for (const kind of ["dragenter", "dragover"])
    drop.addEventListener(kind, event => (event.preventDefault(), drop.classList.add("over")));
  for (const kind of ["dragleave", "drop"])
    drop.addEventListener(kind, event => (event.preventDefault(), drop.classList.remove("over")));
  drop.addEventListener("drop", event => take(event.dataTransfer.files[0]));
  document.addEventListener("paste", event => take([...event.clipboardData.files].find(f => f.type.startsWith("image/"))));
  for (const sample of element.querySelectorAll(".sample"))
    sample.addEventListener("click", () =>
      choose({ id: sample.dataset.id, name: sample.dataset.id, url: `/studio/pictures/${sample.dataset.id}` }));
  watch("value", render);
  render();
}
