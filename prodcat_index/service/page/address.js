// The state of the page is its address: "#/look?title=boots&w.title=0.5".

export function parse(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { view: path || "look", params: new URLSearchParams(query) };
}

// Empty values are left out.
export function link(view, params = {}) {
  const pairs = params instanceof URLSearchParams ? [...params] : Object.entries(params);
  const given = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return `#/${view}${query && `?${query}`}`;
}

// A new entry of the history; the view is shown anew.
export function go(view, params) {
  location.hash = link(view, params);
}

// For what changes while typing: the view is not shown anew, and the entry of the history is the same unless `isNew`.
export function note(view, params, { isNew = false } = {}) {
  const address = link(view, params);
  if (address === location.hash) return;
  history[isNew ? "pushState" : "replaceState"](null, "", address);
}
