// A job's Server-Sent Events to calls. They are read with fetch, because an EventSource can send no bearer token and a
// token in the address would end up in logs; reconnection with Last-Event-ID is therefore written here.

import { ask } from "./api.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

/** Hear every event of a job until its end, through lost connections; `hear(type, data)`. Ends when aborted. */
export async function follow(job, hear, { signal, away = () => {} }) {
  let last = "0";
  let wait = FIRST_WAIT;
  while (!signal.aborted) {
    try {
      const answer = await ask(`/v1/jobs/${job}/events`, {
        accept: "text/event-stream",
        headers: { "Last-Event-ID": last },
        signal,
      });
      away(false);
      for await (const event of events(answer.body)) {
        wait = FIRST_WAIT;
        if (event.id) last = event.id;
        hear(event.type, event.data);
        if (event.type === "end") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500) throw error;
      away(true);
    }
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }
}

/** The events of a stream, each once it is whole. The service ends lines with LF or CRLF, never with CR alone. */
export async function* events(body) {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

function parse(block) {
  const fields = { id: "", event: "message", data: [] };
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = line.match(/^([^:]*):? ?(.*)$/s);
    if (name === "data") fields.data.push(value);
    else if (name === "id" || name === "event") fields[name] = value;
  }
  return fields.data.length ? { id: fields.id, type: fields.event, data: JSON.parse(fields.data.join("\n")) } : null;
}

const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
