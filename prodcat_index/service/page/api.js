// Requests to the service that this page comes from.

const TOKEN = "prodcat-token";
const TAB = "prodcat-tab";

// What went wrong, as a sentence for people.
class Problem extends Error {
  constructor(detail, { status = 0, title = "", retryAfter = 0 } = {}) {
    super(detail);
    Object.assign(this, { status, title, retryAfter });
  }
}

// A service that cannot be reached is "gone" and then "back"; `lost` is true in between.
export const connection = Object.assign(new EventTarget(), { lost: false });

let about = null;
let waiting = null; // The dialog that asks for a token, shared by all requests that need it.

export const api = {
  // Set by main.js: resolves to a token, or to "" where the person would rather not.
  askToken: async () => "",

  get token() {
    return sessionStorage.getItem(TOKEN) || "";
  },
  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  },

  // An id of this tab, so that two tabs of a person are told apart.
  get client() {
    if (!sessionStorage.getItem(TAB)) api.client = crypto.getRandomValues(new Uint32Array(2)).join("-");
    return sessionStorage.getItem(TAB);
  },
  set client(id) {
    sessionStorage.setItem(TAB, id);
  },

  // What GET /index says; asked for once, until `api.forget()`.
  index: () => (about ??= api.get("index").catch((problem) => (api.forget(), Promise.reject(problem)))),
  forget: () => (about = null),

  get: (path, params, options) => ask("GET", path, params, undefined, options),
  // The body is an object for JSON, or a FormData with a picture.
  post: (path, params, body, options) => ask("POST", path, params, body ?? {}, options),

  picturePath: (id) => `cards/${encodeURIComponent(id)}/image`,
  // Address of a picture for <img>. With a token it is fetched, because <img> sends none.
  async pictureAt(path, size) {
    if (!api.token) return `${path}?size=${size}`;
    const answer = await send("GET", path, { size });
    return URL.createObjectURL(await answer.blob());
  },

  // Saves an answer as a file.
  async download(path, params, name) {
    const answer = await send("GET", path, params);
    const address = URL.createObjectURL(await answer.blob());
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  },
};

async function ask(method, path, params, body, options) {
  const answer = await send(method, path, params, body, options);
  return answer.status === 204 ? null : answer.json();
}

async function send(method, path, params, body, { signal, client = api.client } = {}) {
  const given = Object.entries(params ?? {}).filter(([, value]) => value !== "" && value != null);
  const query = new URLSearchParams(given.flatMap(([name, value]) => [value].flat().map((one) => [name, one])));
  const headers = { Accept: "application/json, */*;q=0.5", "X-Client": client };
  if (api.token) headers.Authorization = `Bearer ${api.token}`;
  if (body && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  const sent = headers.Authorization;
  let answer;
  try {
    answer = await fetch(`${path}${given.length ? `?${query}` : ""}`, { method, headers, body, signal, cache: "no-cache" });
  } catch (error) {
    if (error.name !== "AbortError") lose();
    throw error.name === "AbortError" ? error : new Problem("", { title: "unreachable" });
  }
  if ([502, 504].includes(answer.status) && !isProblem(answer)) lose(); // A proxy before a service that is gone.
  if (answer.status === 401 && (await newToken(sent))) return send(method, path, params, body, { signal, client });
  if (!answer.ok) throw await readProblem(answer);
  return answer;
}

const isProblem = (answer) => (answer.headers.get("Content-Type") ?? "").includes("json");

async function readProblem(answer) {
  const { detail = "", title = "" } = isProblem(answer) ? await answer.json().catch(() => ({})) : {};
  const retryAfter = Number(answer.headers.get("Retry-After")) || 0;
  const said = typeof detail === "string" && detail ? detail : title || `${answer.status} ${answer.statusText}`;
  return new Problem(said, { status: answer.status, title, retryAfter });
}

// True where there is another token than the one that was refused.
async function newToken(sent) {
  if (api.token && sent !== `Bearer ${api.token}`) return true;
  waiting ??= api.askToken(Boolean(sent)).finally(() => (waiting = null));
  api.token = await waiting;
  return Boolean(api.token);
}

function lose() {
  if (connection.lost) return;
  connection.lost = true;
  connection.dispatchEvent(new Event("gone"));
  setTimeout(look, 1000);
}

// Asks every two seconds, and at once when `connection.retry()` is called.
async function look() {
  try {
    const answer = await fetch("healthz", { cache: "no-store" });
    if (answer.status < 500) {
      connection.lost = false;
      connection.dispatchEvent(new Event("back"));
      return;
    }
  } catch {
    // Still gone.
  }
  clearTimeout(connection.timer);
  connection.timer = setTimeout(look, 2000);
}
connection.retry = look;
