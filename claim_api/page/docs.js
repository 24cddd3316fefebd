// Draws the page from /openapi.json. Everything is written as text nodes: nothing read from anywhere becomes markup.
"use strict";

const MAX_SHOWN = 20000;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function shown(text) {
  return text.length > MAX_SHOWN ? text.slice(0, MAX_SHOWN) + "\n… " + (text.length - MAX_SHOWN) + " more" : text;
}

function pretty(text, type) {
  if (!type.includes("json")) return shown(text);
  try {
    return shown(JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    return shown(text);
  }
}

function field(parameter) {
  const label = make("label");
  label.append(make("span", "name", parameter.name + (parameter.required ? "" : " ?")));
  const input = make("input");
  input.name = parameter.name;
  input.spellcheck = false;
  input.autocomplete = "off";
  if (parameter.example !== undefined) input.placeholder = String(parameter.example);
  label.append(input, make("span", "note", parameter.description));
  return { label, input, parameter };
}

function target(path, fields) {
  const query = new URLSearchParams();
  for (const { input, parameter } of fields) {
    const value = input.value.trim() || (parameter.required ? input.placeholder : "");
    if (parameter.in === "path") path = path.replace("{" + parameter.name + "}", encodeURIComponent(value));
    else if (parameter.in === "query" && value) query.set(parameter.name, value);
  }
  const text = query.toString();
  return text ? path + "?" + text : path;
}

async function ask(url, output) {
  const key = document.getElementById("key").value;
  output.hidden = false;
  output.textContent = "GET " + url + " …";
  const started = performance.now();
  try {
    const answer = await fetch(url, key ? { headers: { Authorization: "Bearer " + key } } : {});
    const type = answer.headers.get("content-type") || "";
    const head = answer.status + "  " + Math.round(performance.now() - started) + " ms  " + type;
    if (type.includes("zstd")) {
      output.textContent = "GET " + url + "\n" + head + "\n\n" + (await answer.arrayBuffer()).byteLength + " bytes";
    } else {
      output.textContent = "GET " + url + "\n" + head + "\n\n" + pretty(await answer.text(), type);
    }
  } catch (error) {
    output.textContent = "GET " + url + "\nno answer: " + error;
  }
}

function follow(url, output, button) {
  output.hidden = false;
  output.textContent = "GET " + url + "\n";
  const source = new EventSource(url);
  const write = (event) => {
    output.textContent = shown(event.type + " " + event.lastEventId + "\n" + event.data + "\n\n" + output.textContent);
  };
  source.addEventListener("seal", write);
  source.addEventListener("board", write);
  button.textContent = "Stop";
  button.onclick = () => {
    source.close();
    button.textContent = "Follow";
    button.onclick = null;
  };
}

function operation(path, method, one) {
  const details = make("details");
  const summary = make("summary");
  summary.append(make("span", "method", method.toUpperCase()), make("span", "path", path), make("span", "what", one.summary));
  if (one.security) summary.append(make("span", "lock", "private"));
  const inside = make("div", "inside");
  inside.append(make("p", "", one.description));
  const fields = one.parameters.filter((each) => each.in !== "header").map(field);
  const form = make("form", "fields");
  form.append(...fields.map((each) => each.label));
  const streamed = "text/event-stream" in (one.responses["200"]?.content ?? {});
  const button = make("button", "", streamed ? "Follow" : "Send");
  const output = make("pre");
  output.hidden = true;
  // What changes state is not sent from here: it wants the session's token and is better written down.
  if (method === "get") form.append(button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.onclick) return;
    const url = target(path, fields);
    if (streamed) follow(url, output, button);
    else ask(url, output);
  });
  const answers = make("div", "answers");
  for (const [status, answer] of Object.entries(one.responses)) {
    const shownAnswer = make("span");
    shownAnswer.append(make("b", "", status), " " + answer.description);
    answers.append(shownAnswer);
  }
  inside.append(form, answers, output);
  details.append(summary, inside);
  return details;
}

function schema(name, value) {
  const details = make("details");
  const summary = make("summary");
  summary.append(make("span", "path", name));
  const inside = make("div", "inside");
  inside.append(make("pre", "", JSON.stringify(value, null, 2)));
  details.append(summary, inside);
  return details;
}

async function health() {
  const pill = document.getElementById("health");
  try {
    const found = await (await fetch("/health")).json();
    pill.textContent = found.status;
    pill.classList.add(found.status);
    pill.title = found.reasons.join("\n");
  } catch {
    pill.textContent = "no answer";
    pill.classList.add("degraded");
  }
}

async function draw() {
  const paths = document.getElementById("paths");
  try {
    const description = await (await fetch("/openapi.json")).json();
    document.getElementById("title").textContent = description.info.title + " API";
    document.getElementById("lead").textContent = description.info.description;
    paths.replaceChildren(...Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, one]) => operation(path, method, one))
    ));
    const schemas = document.getElementById("schemas");
    schemas.append(...Object.entries(description.components.schemas).map(([name, value]) => schema(name, value)));
    schemas.hidden = false;
  } catch (error) {
    paths.replaceChildren(make("p", "fault", "/openapi.json could not be read: " + error));
  }
}

document.getElementById("operator").addEventListener("submit", (event) => event.preventDefault());
draw();
health();
