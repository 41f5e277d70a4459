// The list of jobs, and the diagram of one. Text is set as text, never as markup: names are strangers' words.
const find = (selector) => document.querySelector(selector);
const say = (text) => { find("#message").textContent = text; };
let cursor = null;

async function ask(path, accept) {
  const headers = { Accept: accept };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { headers });
  if (answer.status === 401) find("#token").hidden = false;
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}

function row(job) {
  const line = document.createElement("tr");
  const progress = `${job.progress.trials_done} / ${job.progress.trials_total}`;
  for (const text of [job.name, job.status, progress, new Date(job.created_at).toLocaleString()]) {
    line.insertCell().textContent = text;
  }
  const button = document.createElement("button");
  button.textContent = "Show";
  button.addEventListener("click", () => show(job));
  line.insertCell().append(button);
  return line;
}

async function list() {
  try {
    const page = await (await ask(`/v1/jobs${cursor ? `?cursor=${cursor}` : ""}`, "application/json")).json();
    find("tbody").append(...page.items.map(row));
    find("table").hidden = !find("tbody").rows.length;
    cursor = page.next_cursor;
    find("#more").hidden = cursor === null;
    say(find("tbody").rows.length ? "" : "No job yet: post a spec to /v1/jobs, or run `saephase submit`.");
  } catch (error) {
    say(error.message);
  }
}

async function show(job) {
  say(`Drawing ${job.name} …`);
  try {
    const picture = await (await ask(job.links.diagram, "image/svg+xml")).blob();
    find("#picture").src = URL.createObjectURL(picture);
    find("#picture").hidden = false;
    say("");
  } catch (error) {
    say(error.message);
  }
}

find("#token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", find("#token input").value);
  find("#token").hidden = true;
  find("tbody").replaceChildren();
  cursor = null;
  list();
});
find("#more").addEventListener("click", list);
list();
