// The page of a server of spacy-luke. Drawings come from the server as escaped HTML; all other text is set as text.
"use strict";

const EXAMPLES = [
  {
    name: "Marie Curie",
    text:
      "Marie Curie was born in Warsaw in 1867 and moved to Paris in 1891 to study at the Sorbonne. In 1895 she married " +
      "Pierre Curie, a physicist from Paris.",
    questions: ["Where was Marie Curie born?", "Whom did she marry?"],
  },
  {
    name: "Grace Hopper",
    text:
      "Grace Hopper was born in New York City in 1906. She studied at Vassar College, and worked for Remington Rand in " +
      "Philadelphia.",
    questions: ["Where did Hopper work?"],
  },
  {
    name: "A company",
    text:
      "Hewlett-Packard was founded in Palo Alto in 1939 by Bill Hewlett and David Packard, who had met at Stanford " +
      "University. Its first product was an oscillator, which Walt Disney bought for the film Fantasia.",
    questions: ["Who founded Hewlett-Packard?", "What was its first product?"],
  },
];
const WAIT = 150; // ms from the last move of the slider to the next drawing

const element = (id) => document.getElementById(id);
let found = null; // {result, parsed} of the last text
let asked = 0; // how many requests there were: only the answer to the last one is shown
let timer = 0;

async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  let content = null;
  try {
    content = await response.json();
  } catch {
    // not from this server, but from a proxy before it
  }
  if (!response.ok || content === null) {
    const detail = content && content.detail;
    throw new Error(typeof detail === "string" ? detail : `The server answered ${response.status}.`);
  }
  return content;
}

function showProblem(message) {
  element("problem").textContent = message;
  element("problem").hidden = !message;
}

function questions() {
  const lines = element("questions").value.split("\n").map((line) => line.trim());
  return lines.filter((line) => line);
}

async function annotate() {
  const number = ++asked;
  showProblem("");
  element("annotate").disabled = true;
  element("status").textContent = "Reading …";
  try {
    const answer = await post("page/annotate", { text: element("text").value, questions: questions() });
    if (number !== asked) return;
    found = answer;
    await draw(number);
    element("status").textContent = "";
  } catch (error) {
    if (number !== asked) return;
    element("status").textContent = "";
    showProblem(error.message);
  } finally {
    if (number === asked) element("annotate").disabled = false;
  }
}

async function draw(number) {
  const drawn = await post("page/draw", { parsed: found.parsed, min_score: Number(element("least").value) });
  if (number !== asked) return;
  // The server escapes every text in it, and the policy of this page runs no script that came in another way.
  element("drawing").innerHTML = drawn.html;
  element("legend").innerHTML = drawn.legend;
  element("count").textContent =
    drawn.shown < drawn.found ? `${drawn.shown} of ${drawn.found} shown` : `${drawn.found} found`;
  element("found").hidden = false;
}

function moved() {
  element("least-shown").textContent = Number(element("least").value).toFixed(2);
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (found === null || element("annotate").disabled) return;
    const number = ++asked;
    try {
      await draw(number);
      showProblem("");
    } catch (error) {
      if (number === asked) showProblem(error.message);
    }
  }, WAIT);
}

function json() {
  return JSON.stringify(found.result, null, 2);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(json());
    element("copy").textContent = "Copied";
    setTimeout(() => (element("copy").textContent = "Copy JSON"), 1500);
  } catch {
    showProblem("This browser lets only pages of https or of this machine copy. Download the results instead.");
  }
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([json()], { type: "application/json" }));
  link.download = "annotations.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function addExamples() {
  for (const example of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = example.name;
    button.addEventListener("click", () => {
      element("text").value = example.text;
      element("questions").value = example.questions.join("\n");
      annotate();
    });
    element("examples").append(button);
  }
}

async function tellModel() {
  try {
    const health = await (await fetch("health")).json();
    element("model").textContent = health.model;
    document.title = `spacy-luke: ${health.model}`;
  } catch {
    element("model").textContent = "The model";
  }
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  annotate();
});
for (const id of ["text", "questions"]) {
  element(id).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("form").requestSubmit();
  });
}
element("least").addEventListener("input", moved);
element("copy").addEventListener("click", copy);
element("download").addEventListener("click", download);
addExamples();
tellModel();
