"use strict";
const stack = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const {width, height} = stack;
const canvas = document.querySelector("canvas");
canvas.width = width; canvas.height = height;
canvas.style.aspectRatio = `${width * stack.pixelAspect} / ${height}`;
const context = canvas.getContext("2d");
const picture = context.createImageData(width, height);
const scratch = document.createElement("canvas");
scratch.width = width; scratch.height = 2 * height;
const reader = scratch.getContext("2d", {willReadFrequently: true});
const state = {frame: 0, playing: false, alpha: false, checker: true, ref: false,
  on: stack.layers.map(() => true)};

// sRGB curve as tables: 256 codes in, 4096 steps of linear light out.
const toLinear = Float32Array.from({length: 256}, (_, i) => {
  const v = i / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
});
const toCode = Uint8ClampedArray.from({length: 4097}, (_, i) => {
  const v = i / 4096;
  return 255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
});
const code = v => toCode[v <= 0 ? 0 : v >= 1 ? 4096 : (v * 4096 + 0.5) | 0];

const images = new Map();
async function image(source) {
  if (!images.has(source)) {
    const made = new Image();
    made.src = source;
    images.set(source, made.decode().then(() => made));
  }
  return images.get(source);
}

// Upper half: premultiplied colour, so that light without alpha is there too. Lower half: alpha as grey; absent when the layer is opaque.
async function pixels(source) {
  const made = await image(source);
  reader.clearRect(0, 0, width, 2 * height);
  reader.drawImage(made, 0, 0);
  const both = reader.getImageData(0, 0, width, 2 * height).data;
  return {color: both, alpha: made.naturalHeight > height ? both.subarray(4 * width * height) : null};
}

async function composite(frame) {
  const out = new Float32Array(4 * width * height);
  const shown = state.ref && stack.ref ? [stack.ref] : stack.layers.filter((_, i) => state.on[i]);
  for (const layer of shown) {
    const {color, alpha} = await pixels(layer.frames[frame]);
    for (let i = 0; i < out.length; i += 4) {
      const a = alpha ? alpha[i] / 255 : 1;
      const rest = 1 - a;
      out[i] = toLinear[color[i]] + out[i] * rest;
      out[i + 1] = toLinear[color[i + 1]] + out[i + 1] * rest;
      out[i + 2] = toLinear[color[i + 2]] + out[i + 2] * rest;
      out[i + 3] = a + out[i + 3] * rest;
    }
  }
  return out;
}

let drawing = Promise.resolve();
function draw() {
  drawing = drawing.then(async () => {
    const linear = await composite(state.frame);
    const data = picture.data, square = Math.max(4, Math.round(width / 42));
    for (let i = 0, y = 0; y < height; y++) for (let x = 0; x < width; x++, i += 4) {
      const rest = 1 - linear[i + 3];
      const light = ((x / square | 0) + (y / square | 0)) % 2;
      const under = state.checker ? rest * (light ? 0.24 : 0.16) : 0;
      for (let c = 0; c < 3; c++)
        data[i + c] = state.alpha ? 255 * linear[i + 3] : code(linear[i + c] + under);
      data[i + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  });
  return drawing;
}

function show() {
  $("slider").value = state.frame;
  $("frame").textContent = stack.startFrame + state.frame;
  for (const name of ["alpha", "checker", "ref"]) $(name).setAttribute("aria-pressed", state[name]);
  $("play").setAttribute("aria-pressed", state.playing);
  $("play").textContent = state.playing ? "Pause" : "Play";
  [...$("layers").children].forEach(item => {
    const index = Number(item.dataset.index);
    item.classList.toggle("off", !state.on[index] || state.ref);
    item.querySelector("input").checked = state.on[index];
  });
  return draw();
}

function go(frame) { state.frame = (frame + stack.frames) % stack.frames; return show(); }
function toggle(index) { state.on[index] = !state.on[index]; state.ref = false; show(); }
function alone(index) { state.on = state.on.map((_, i) => i === index); state.ref = false; show(); }
function everything() { state.on = state.on.map(() => true); state.ref = false; show(); }
function flip(name) { if (name !== "ref" || stack.ref) { state[name] = !state[name]; show(); } }

async function play() {
  state.playing = !state.playing;
  let due = performance.now();
  await show();
  while (state.playing) {
    due = Math.max(due + 1000 / stack.fps, performance.now());
    await new Promise(wake => setTimeout(wake, due - performance.now()));
    if (state.playing) await go(state.frame + 1);
  }
}

function addLayer(layer, index) {
  const item = document.createElement("li"), label = document.createElement("label");
  const box = document.createElement("input"), words = document.createElement("span");
  const name = document.createElement("b"), role = document.createElement("small");
  const solo = document.createElement("button"), key = document.createElement("kbd");
  item.dataset.index = index;
  box.type = "checkbox"; box.onchange = () => toggle(index);
  name.textContent = layer.name; key.textContent = stack.layers.length - index;
  role.textContent = layer.prompt ? `${layer.role}: ${layer.prompt}` : layer.role;
  words.append(name, " ", key, role);
  label.append(box, words);
  solo.textContent = "Alone"; solo.onclick = () => alone(index);
  item.append(label, solo);
  $("layers").prepend(item);
}

document.querySelector("h1").textContent = stack.name;
$("prompt").textContent = stack.prompt;
$("facts").textContent = stack.facts;
$("slider").max = stack.frames - 1;
$("ref").hidden = !stack.ref;
stack.layers.forEach(addLayer);
$("slider").oninput = event => go(Number(event.target.value));
$("back").onclick = () => go(state.frame - 1);
$("forth").onclick = () => go(state.frame + 1);
$("play").onclick = play;
$("all").onclick = everything;
for (const name of ["alpha", "checker", "ref"]) $(name).onclick = () => flip(name);
const keys = {" ": play, ArrowLeft: () => go(state.frame - 1), ArrowRight: () => go(state.frame + 1),
  Home: () => go(0), End: () => go(stack.frames - 1), a: () => flip("alpha"),
  c: () => flip("checker"), r: () => flip("ref"), 0: everything};
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.closest("button, input")) return;  // its own action
  const digit = /^Digit([1-9])$/.exec(event.code);
  const index = digit ? stack.layers.length - Number(digit[1]) : -1;
  if (index >= 0) (event.shiftKey ? alone : toggle)(index);
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act) act();
  if (index >= 0 || act) event.preventDefault();
});
// After a click the keys mean the picture again, not the button that was clicked.
document.addEventListener("click", event => { if (event.detail) document.activeElement.blur(); });
show();
