// Decisions on their way to the service. Each is kept in localStorage until the service has confirmed
// or refused it, so that a closed page, a lost answer or a service that is gone costs none of them.
import { api, connection } from "./api.js";

const PATIENCE = 20_000; // Milliseconds until a request without an answer is given up and made again.
const LONGEST_WAIT = 10_000;
const MOST_TRIES = 5; // Of what the service fails at each time, lest it holds up all that follow.

// `name` tells the outboxes of this browser apart: those of other services and persons.
// Calls: changed(), confirmed(entry, answer), refused(entry, problem), failing(problem).
// An entry is {path, body, about}: sent by POST in the order of its making, and perhaps twice, so that
// the body must name the decision; by whichever tab, it is said to come from the one that made it. `about` is the page's own.
export class Outbox {
  constructor(name, calls) {
    this.name = name;
    this.prefix = `prodcat-outbox ${name} `;
    this.calls = calls;
    this.last = 0;
    this.wait = 500;
    this.tries = new Map();
    addEventListener("storage", ({ key }) => (key === null || key.startsWith(this.prefix)) && calls.changed());
    addEventListener("beforeunload", (event) => this.keys().length && event.preventDefault());
    connection.addEventListener("back", () => this.send());
  }

  keys() {
    return Object.keys(localStorage).filter((key) => key.startsWith(this.prefix)).sort();
  }

  entries() {
    return this.keys().map((key) => localStorage.getItem(key)).filter(Boolean).map((text) => JSON.parse(text));
  }

  // Throws where the browser keeps nothing; nothing is sent then.
  add(entry) {
    this.last = Math.max(this.last + 1, Date.now());
    localStorage.setItem(`${this.prefix}${this.last} ${crypto.getRandomValues(new Uint32Array(1))}`, JSON.stringify({ ...entry, client: api.client }));
    this.calls.changed();
    this.send();
  }

  // Sends all, the oldest first; what cannot be sent now is tried again later.
  async send() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.timer);
    try {
      for (let key; (key = this.keys()[0]); ) await alone(() => this.#sendOne(key));
      this.wait = 500;
    } catch (problem) {
      this.calls.failing(problem);
      // Without a token, only a person can help.
      if (problem.status !== 401) this.timer = setTimeout(() => this.send(), this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
    } finally {
      this.sending = false;
    }
  }

  async #sendOne(key) {
    const text = localStorage.getItem(key);
    if (!text) return; // Another tab sent it.
    const entry = JSON.parse(text);
    let answer, problem;
    try {
      answer = await api.post(entry.path, {}, entry.body, { client: entry.client, signal: AbortSignal.timeout(PATIENCE) });
    } catch (error) {
      if (!this.#isFinal(key, error)) throw error;
      problem = error;
    }
    localStorage.removeItem(key);
    if (problem) this.calls.refused(entry, problem);
    else this.calls.confirmed(entry, answer);
    this.calls.changed();
  }

  // Whether trying again cannot help.
  #isFinal(key, { status }) {
    if (status === 500) {
      this.tries.set(key, (this.tries.get(key) ?? 0) + 1);
      return this.tries.get(key) >= MOST_TRIES;
    }
    return status >= 400 && status < 500 && ![401, 403, 408, 425, 429].includes(status);
  }
}

// Tabs take turns, where the browser has locks; it has none for a service on another machine without TLS.
const alone = (run) => (navigator.locks ? navigator.locks.request("prodcat-outbox", run) : run());
