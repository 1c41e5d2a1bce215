// The review queue.
export function show() {}
