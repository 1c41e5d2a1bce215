// The items of the review queue that this tab holds, the shown one first.
import { api } from "./api.js";

const SIZE = 4; // As many wait here that the next one is there at once.
const LARGE = 640; // Pixels of the picture of the shown card.

export class Hand {
  items = [];
  counter = null;
  isEmpty = false; // What the service said when it was asked last.
  moment = 0; // Counts decisions and undos: an answer that was asked for before one does not know of it.
  #gone = new Set(); // Ids of items decided here.
  #asking = null;
  #pictures = new Map(); // Item -> promise of its large picture.

  // Decisions that `outbox` holds are not known to the service yet.
  constructor(outbox) {
    this.outbox = outbox;
    for (const { about } of outbox.entries()) this.#mark(about);
  }

  #mark({ items, isUndo }) {
    for (const id of items) this.#gone[isUndo ? "delete" : "add"](id);
  }

  // Takes decided items out.
  take(items) {
    this.moment++;
    this.#mark({ items: items.map(({ id }) => id) });
    this.items = this.items.filter(({ id }) => !this.#gone.has(id));
  }

  // Items whose decision the service refused may be given again.
  release(ids) {
    for (const id of ids) this.#gone.delete(id);
  }

  // Puts items back whose decision was taken back; the first one is shown.
  putBack(items) {
    this.moment++;
    this.#mark({ items: items.map(({ id }) => id), isUndo: true });
    if (items.length) this.items = [items[0], ...this.items.filter(({ id }) => id !== items[0].id)];
  }

  // Asks for further items; several calls at a time are one. Returns whether the shown one was lost:
  // its lease had run out, and somebody else has decided it.
  fill() {
    return (this.#asking ??= this.#fill().finally(() => (this.#asking = null)));
  }

  async #fill() {
    for (;;) {
      const asked = this.moment;
      const unknown = this.outbox.entries();
      const skip = unknown.filter(({ about }) => !about.isUndo).flatMap(({ about }) => about.items);
      const { items, counter } = await api.get("review", { limit: SIZE, skip });
      this.counter = counter;
      const first = this.items[0];
      if (asked === this.moment && !unknown.length) {
        // The service knows all that was decided here.
        this.#gone.clear();
        this.items = this.items.filter((own) => items.some(({ id }) => id === own.id));
      }
      this.items.push(...items.filter((one) => !this.#gone.has(one.id) && !this.items.some(({ id }) => id === one.id)));
      this.items.forEach((item) => this.picture(item));
      this.isEmpty = !this.items.length;
      if (asked === this.moment || this.items.length >= SIZE) return Boolean(first) && first !== this.items[0] && asked === this.moment;
    }
  }

  // The large picture of an item as an element that is loaded already, where it has had the time.
  picture(item) {
    if (!item.card?.image) return null;
    for (const known of this.#pictures.keys()) if (!this.items.some(({ id }) => id === known)) this.#pictures.delete(known);
    if (!this.#pictures.has(item.id)) {
      const loading = loadPicture(picturePath(item));
      loading.catch(() => {}); // Whoever shows it says so; one that is fetched ahead may never be shown.
      this.#pictures.set(item.id, loading);
    }
    return this.#pictures.get(item.id);
  }
}

// A listing is no card of the index.
export const picturePath = ({ id, check, card }) => (check === "prediction" ? `review/${encodeURIComponent(id)}/image` : api.picturePath(card.id));

async function loadPicture(path) {
  const image = Object.assign(new Image(), { src: await api.pictureAt(path, LARGE), alt: "", className: "loaded" });
  await image.decode();
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  return image;
}
