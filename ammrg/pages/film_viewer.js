// Films and the maps over them: filmViewer({films: [{image, name, sides, aspect}], maps: [{name, film, grid, shift, words}], alt}).
// alt says what the films show; words say what a map shows: finding, side, level, probability.
// aspect is the film's width over its height, whatever the picture's: 1 if it is left out.
const MOST_ZOOM = 8;
const INFERNO = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]; // at 0, 1/4, ... 1, as on panel.png

// The colour of a value in [0, 1].
function inferno(value) {
  const at = value * (INFERNO.length - 1), low = Math.min(INFERNO.length - 2, Math.floor(at));
  return INFERNO[low].map((part, i) => part + (INFERNO[low + 1][i] - part) * (at - low));
}

// A map on a canvas, with a cross at its peak; null if it shows no place.
function heat(grid, shift, aspect) {
  const rows = grid.length, columns = grid[0].length, values = grid.flat(), most = Math.max(...values);
  if (most === Math.min(...values)) return null;
  // A cell more all around, equal to the nearest: moved by the shift, the map still reaches every edge of the film.
  const framed = (line) => [line[0], ...line, line.at(-1)], cells = framed(grid.map(framed)).flat();
  const small = make("canvas", { width: columns + 2, height: rows + 2 }), context = small.getContext("2d");
  const pixels = context.createImageData(columns + 2, rows + 2);
  cells.forEach((value, i) => pixels.data.set([...inferno(value / 100), 2.55 * value], 4 * i));
  context.putImageData(pixels, 0, 0);
  const height = 448, width = Math.round(height * aspect);
  const whole = make("canvas", { width, height, "aria-hidden": "true" }), drawn = whole.getContext("2d");
  const wide = width / columns, high = height / rows, right = shift * wide, down = shift * high;
  drawn.imageSmoothingQuality = "high";
  drawn.drawImage(small, right - wide, down - high, width + 2 * wide, height + 2 * high);
  const peak = values.indexOf(most);
  const x = (peak % columns + .5) * wide + right, y = (Math.floor(peak / columns) + .5) * high + down;
  drawn.strokeStyle = "#00e5ff";
  drawn.lineWidth = 3;
  drawn.stroke(new Path2D(`M${x - 11} ${y}h22M${x} ${y - 11}v22`));
  return whole;
}

function filmViewer({ films, maps, alt }) {
  const pane = make("div", { class: "pane" }), caption = make("figcaption", { "aria-live": "polite" });
  const stage = make("div", { class: "stage", tabindex: "0", role: "group", "aria-label": "film: plus and minus zoom, arrows move, 0 shows it whole" }, pane);
  const slider = make("input", { type: "range", min: "0", max: "100", value: "60", class: "opacity" });
  const strength = make("label", {}, "map", slider);
  const place = { zoom: 1, x: 0, y: 0 };
  let canvas = null, shown = null;

  function move(zoom = place.zoom, x = place.x, y = place.y) {
    const { clientWidth: width, clientHeight: height } = stage;
    place.zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
    place.x = Math.min(0, Math.max(width * (1 - place.zoom), x));
    place.y = Math.min(0, Math.max(height * (1 - place.zoom), y));
    pane.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.zoom})`;
    stage.classList.toggle("zoomed", place.zoom > 1);
    closer.disabled = place.zoom >= MOST_ZOOM;
    farther.disabled = whole.disabled = place.zoom <= 1;
  }
  // The point at (x, y) of the stage stays where it is.
  function zoomAt(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const to = Math.min(MOST_ZOOM, Math.max(1, place.zoom * factor)), by = to / place.zoom;
    move(to, x - (x - place.x) * by, y - (y - place.y) * by);
  }
  const button = (label, words, onclick) => make("button", { type: "button", "aria-label": words, title: words, onclick }, label);
  const closer = button("+", "zoom in", () => zoomAt(1.5)), farther = button("−", "zoom out", () => zoomAt(1 / 1.5));
  const whole = button("1:1", "whole film", () => move(1, 0, 0));
  const fade = () => { if (canvas) canvas.style.opacity = slider.value / 100; };

  function show(choice) {
    const map = maps[choice], film = films[map ? map.film : choice - maps.length], aspect = film.aspect || 1;
    canvas = map ? heat(map.grid, map.shift, aspect) : null;
    const words = map ? `${map.words}${canvas ? "" : "; its map shows no place"}` : film.name;
    pane.replaceChildren(...[make("img", { src: film.image, alt: [alt, words].filter(Boolean).join(" "), draggable: "false" }), canvas].filter(Boolean));
    stage.style.setProperty("--aspect", aspect);
    if (film !== shown) move(1, 0, 0);
    shown = film;
    stage.replaceChildren(pane, ...(film.sides || []).map((letter) => make("span", { class: "edge" }, letter)));
    caption.textContent = words;
    strength.hidden = !canvas;
    choices.forEach((each, i) => each.setAttribute("aria-pressed", String(i === choice)));
    fade();
  }
  const names = [...maps.map(({ name }) => name), ...films.map(({ name }) => name)];
  const choices = names.map((name, i) => make("button", { type: "button", onclick: () => show(i) }, name));

  slider.addEventListener("input", fade);
  stage.addEventListener("keydown", (event) => {
    const act = { "+": () => zoomAt(1.5), "=": () => zoomAt(1.5), "-": () => zoomAt(1 / 1.5), "0": () => move(1, 0, 0) }[event.key];
    const [right, down] = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key] || [0, 0];
    if (act) act();
    else if ((right || down) && place.zoom > 1) move(place.zoom, place.x + right, place.y + down);
    else return;
    event.preventDefault();
  });
  const zoomHere = (factor, { clientX, clientY }) => {
    const box = stage.getBoundingClientRect();
    zoomAt(factor, clientX - box.left, clientY - box.top);
  };
  stage.addEventListener("dblclick", (event) => (place.zoom > 1 ? move(1, 0, 0) : zoomHere(2.5, event)));
  stage.addEventListener("wheel", (event) => { // a plain wheel scrolls the page
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomHere(Math.exp(-event.deltaY / 200), event);
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => { if (place.zoom > 1) stage.setPointerCapture(event.pointerId); });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) move(place.zoom, place.x + event.movementX, place.y + event.movementY);
  });

  show(0);
  return make("figure", { class: "viewer" }, stage, make("div", { class: "pictures", role: "group", "aria-label": "film and maps" }, ...choices),
    caption, make("div", { class: "tools" }, strength, closer, farther, whole));
}
