// Paths of the API to answers, or to a Problem with the service's own words.

import { askToken, token } from "./token.js";

const VEGA_LITE = "application/vnd.vegalite.v6+json";

/** What the service answers when it refuses (RFC 9457), or that it cannot be reached. */
export class Problem extends Error {
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

/** A response that succeeded. Asks for a token where one is needed, and tries again with it. */
export async function ask(path, { accept = "application/json", headers = {}, body, ...options } = {}) {
  const sent = { Accept: accept, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  for (;;) {
    const used = token();
    if (used) sent.Authorization = `Bearer ${used}`;
    let answer;
    try {
      answer = await fetch(path, {
        ...options,
        headers: sent,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "The service cannot be reached. Is it running?");
    }
    if (answer.ok) return answer;
    const problem = await read(answer);
    if (answer.status !== 401) throw problem;
    // Another request may have been given a token in the meantime.
    if (token() === used && !(await askToken(problem.message))) throw problem;
  }
}

async function read(answer) {
  try {
    const { detail, title, errors } = await answer.json();
    return new Problem(answer.status, detail ?? title, errors ?? []);
  } catch {
    return new Problem(answer.status, `The service answered ${answer.status} without a word of why.`);
  }
}

export const readJson = async (path, options) => (await ask(path, options)).json();

export const readJob = (id, options) => readJson(`/v1/jobs/${id}`, options);

export const readConditions = async (id, options) => (await readJson(`/v1/jobs/${id}/conditions`, options)).items;

/** The Vega-Lite source of a job's diagram, the one that its files are drawn from. */
export const readSource = (id, { boundaries = true, ...options } = {}) =>
  readJson(`/v1/jobs/${id}/diagram${boundaries ? "" : "?boundaries=false"}`, { accept: VEGA_LITE, ...options });

/** What differs between two jobs, the second less the first: as numbers, and as the source of its picture. */
export const readDifference = (one, other, options) => readJson(differencePath(one, other), options);
export const readDifferenceSource = (one, other, options) =>
  readJson(differencePath(one, other), { accept: VEGA_LITE, ...options });
export const differencePath = (one, other) => `/v1/jobs/${one}/diff/${other}`;

/** Finished trials that match, with the named columns: all pages. `wanted` holds a list of values per filter. */
export async function readTrials(id, wanted, options) {
  const query = new URLSearchParams({ limit: "1000" });
  for (const [name, values] of Object.entries(wanted)) for (const value of values) query.append(name, value);
  const found = [];
  for (;;) {
    const page = await readJson(`/v1/jobs/${id}/trials?${query}`, options);
    found.push(...page.items);
    if (page.next_cursor === null) return found;
    query.set("cursor", page.next_cursor);
  }
}

/** A key that no other submission has; `crypto.randomUUID` is missing on plain http. */
export const freshKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/** Save a file. A link can send neither a token nor what it accepts: then the file is fetched first, into memory. */
export async function download(path, name, accept = null) {
  if (!token() && !accept) return save(path, name);
  const place = URL.createObjectURL(await (await ask(path, { accept: accept ?? "*/*" })).blob());
  save(place, name);
  setTimeout(() => URL.revokeObjectURL(place), 60_000);
  return undefined;
}

function save(place, name) {
  const link = document.createElement("a");
  link.href = place;
  link.download = name;
  link.click();
}
