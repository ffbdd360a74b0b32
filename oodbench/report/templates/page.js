"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)"), printing = () => document.documentElement.classList.contains("printing");
const ground = () => dark.matches && !printing() ? 1 : 0;
const dashes = ["solid", "dash", "dot", "dashdot", "longdash"];
const percent = value => value == null ? "not known from this record" : (100 * value).toFixed(2) + "%";
const esc = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");

/* What each plot draws: traces and layout, from the numbers of its chapter and what was chosen beside it. */
const plots = {
  scores(c, chosen, figure) {
    const m = c.curves[chosen("method")], s = m.sets[chosen("set")], i = chosen("threshold"), out = figure.querySelector("output");
    if (!s) { out.textContent = "This method has no results on this set."; return [[], {}]; }
    const t = m.thresholds[i], tpr = m.tpr[i], fpr = s.fpr[i], right = m.right && m.right[i] * tpr * m.n_id;
    out.textContent = `Threshold ${t}: accepts ${percent(tpr)} of ID images (TPR) and ${percent(fpr)} of OOD images (FPR). ` +
      `Accuracy of the accepted ID images: ${percent(m.right && m.right[i])}; of all that is accepted, OOD images counted as errors: ` +
      `${percent(m.right && right / (tpr * m.n_id + fpr * s.n))}. AUROC ${percent(s.auroc)}` +
      (s.interval ? `, 95% interval over images ${percent(s.interval[0])} to ${percent(s.interval[1])} (DeLong).` : ".");
    const x = s.id.map((_, k) => s.low + (k + .5) * (s.high - s.low) / s.id.length);
    const bars = (y, name, colour, shape) => ({type: "bar", x, y: y.map(Math.sqrt), name, opacity: .65, customdata: y.map(percent),
      hovertemplate: "%{customdata} of the images<extra></extra>", marker: {color: colour, pattern: {shape, fillmode: "overlay"}}});
    const at = Math.min(Math.max(t, s.low), s.high);
    return [[bars(s.id, "ID test images", ["#2e6bb5", "#7cb0ea"][ground()], ""), bars(s.ood, esc(c.sets[chosen("set")]), c.colours.sets[chosen("set")][ground()], "/")],
      {barmode: "overlay", bargap: 0, xaxis: {title: {text: "score (right: more in-distribution)"}}, yaxis: {title: {text: "share of images, under a root"}, showticklabels: false},
       shapes: [{type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: {width: 2, dash: "dash", color: text()}}]}];
  },
  roc: (c, chosen) => [lines(c, chosen, (m, s) => [[0, ...s.fpr, 1], [0, ...m.tpr, 1]]), {xaxis: {title: {text: "false positive rate"}, range: [0, 1]}, yaxis: {title: {text: "true positive rate"}, range: [0, 1.01]}}],
  pr: (c, chosen) => [lines(c, chosen, (m, s) => [m.tpr, m.tpr.map((t, i) => t * m.n_id / (t * m.n_id + s.fpr[i] * s.n))]),
    {xaxis: {title: {text: "recall (ID images accepted)"}, range: [0, 1]}, yaxis: {title: {text: "precision"}, range: [null, 1.01]}}],
  cloud(c, chosen) {
    const cloud = c.clouds[chosen("network")], set = cloud.sets[chosen("set")], angle = chosen("turn") * Math.PI / 180;
    /* Paper gets the same view without WebGL, whose pictures are not printed. */
    const flat = cloud.dimensions < 3 || printing(), [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const view = ([x, y, z]) => [x.map((_, i) => y[i] * cos - x[i] * sin), z.map((_, i) => .9 * z[i] - .43 * (x[i] * cos + y[i] * sin))];
    const points = (all, name, color, symbol, size) => { const xs = flat && all.length === 3 ? view(all) : all; return {type: flat ? "scatter" : "scatter3d", mode: "markers", name: esc(name), x: xs[0],
      y: xs[1] || xs[0].map(() => 0), ...(flat ? {} : {z: xs[2]}), hoverinfo: "name", marker: {size: flat ? size + 3 : size, color, symbol, opacity: .85}}; };
    const classes = cloud.labels ? [...new Set(cloud.labels)].sort((a, b) => a - b) : [null];
    const traces = classes.map(k => points(cloud.id.map(column => column.filter((_, i) => k === null || cloud.labels[i] === k)),
      k === null ? "ID" : "ID: " + c.classes[k], c.colours.classes[(k || 0) % c.colours.classes.length][ground()], "circle", 3));
    /* More names than these leave no room for the cloud; each point still says its class. */
    if (traces.length > 12) traces.forEach(trace => { trace.showlegend = false; });
    if (set) traces.push(points(set, "OOD: " + c.sets[chosen("set")], c.colours.sets[chosen("set")][ground()], flat ? "x" : "diamond-open", 3.5));
    const axis = {showticklabels: false, title: {text: ""}, gridcolor: line(), zerolinecolor: line(), backgroundcolor: "rgba(0,0,0,0)"};
    return [traces, {scene: {uirevision: angle, xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "cube", camera: {eye: {x: 1.7 * cos, y: 1.7 * sin, z: .8}}},
      xaxis: {showticklabels: false}, yaxis: {showticklabels: false}, margin: {l: 5, r: 5, t: 5, b: 5}, legend: {orientation: "h", itemsizing: "constant"}}];
  },
  heat(c, chosen) {
    const metric = c.metrics[chosen("metric")], z = metric.values.map(row => row.map(v => v === null ? null : metric.percent ? 100 * v : v));
    const shown = c.sets.map((_, i) => i).filter(i => chosen("column" + i));
    return [[{type: "heatmap", x: shown.map(i => esc(c.sets[i])), y: c.methods.map(esc), z: z.map(row => shown.map(i => row[i])), colorscale: "Cividis", reversescale: !metric.up,
      texttemplate: "%{z:.1f}", hoverongaps: false, hovertemplate: "%{y} on %{x}: %{z:.2f}<extra></extra>", xgap: 1, ygap: 1, colorbar: {thickness: 12}}],
      {height: 140 + 26 * c.methods.length, yaxis: {autorange: "reversed", automargin: true}, xaxis: {automargin: true, type: "category"}, margin: {l: 10, r: 10, t: 10, b: 10}}];
  },
  cost(c) {
    const symbols = ["square", "circle", "diamond", "cross", "triangle-up"];
    const kinds = Object.keys(c.costs[0]).filter(kind => c.costs.some(seconds => seconds[kind] > 0));
    return [kinds.map((kind, k) => ({type: "scatter", mode: "markers", name: esc(kind), y: c.methods.map(esc), x: c.costs.map(seconds => seconds[kind] == null ? null : Math.max(seconds[kind], .001)),
      marker: {size: 10, symbol: symbols[k % 5], color: c.colours.methods[k % c.colours.methods.length][ground()]}, hovertemplate: "%{y}: %{x:.3~r} s<extra>%{fullData.name}</extra>"})),
      {height: 150 + 24 * c.methods.length, xaxis: {type: "log", dtick: 1, title: {text: "seconds, on a logarithmic axis"}}, yaxis: {autorange: "reversed", automargin: true, type: "category"}}];
  },
};
function lines(c, chosen, xy) {
  return c.curves.map((m, k) => [m, m.sets[chosen("set")], k]).filter(([, s]) => s).map(([m, s, k]) => { const [x, y] = xy(m, s); return {
    type: "scatter", mode: "lines", x, y, name: esc(c.methods[k]), visible: k < 8 || "legendonly",
    line: {width: 2, color: c.colours.methods[k % c.colours.methods.length][ground()], dash: dashes[(k + Math.floor(k / 8)) % dashes.length]}}; });
}

const text = () => getComputedStyle(document.body).color, line = () => getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
function draw(figure) {
  const chosen = name => { const field = figure.querySelector(`[name=${name}]`); return field.type === "checkbox" ? field.checked : +field.value; };
  for (const plot of figure.querySelectorAll(".plot")) {
    const [traces, layout] = plots[plot.dataset.plot](page.chapters[figure.dataset.chapter], chosen, figure);
    const paper = printing() ? {width: plot.closest(".pair") ? 330 : 680, height: layout.height || 300} : {};
    const height = paper.height || layout.height || plot.clientHeight || 380;
    /* Below the title of the axis, however many lines of names there are. */
    const rows = Math.ceil(150 * traces.filter(trace => trace.showlegend !== false).length / ((paper.width || plot.clientWidth) - 65)), inner = Math.max(80, height - 65 - 20 * rows);
    const axis = given => ({gridcolor: line(), zerolinecolor: line(), linecolor: line(), ...given});
    Plotly.react(plot, traces, {paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: text(), family: "system-ui, sans-serif", size: 12},
      margin: {l: 55, r: 10, t: 10, b: 45}, legend: {orientation: "h", y: -50 / inner, yanchor: "top"}, uirevision: "kept", ...layout, ...paper, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis)},
      {responsive: true, displayModeBar: false});
  }
  figure.dataset.drawn = "yes";
}
const figures = [...document.querySelectorAll("figure[data-chapter]")];
const seen = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting && !entry.target.dataset.drawn).forEach(entry => draw(entry.target)), {rootMargin: "300px"});
figures.forEach(figure => { seen.observe(figure); figure.addEventListener("input", () => draw(figure)); });
dark.addEventListener("change", () => figures.filter(figure => figure.dataset.drawn).forEach(draw));
for (const [event, on] of [["beforeprint", true], ["afterprint", false]]) addEventListener(event, () => {
  document.documentElement.classList.toggle("printing", on); figures.forEach(draw);
  document.querySelectorAll(on ? "details:not([open])" : "details[data-closed]").forEach(part => { part.open = on; part.toggleAttribute("data-closed", on); }); });

/* Tables: which metric, which sets, sorted by what. */
document.querySelectorAll(".results").forEach(section => section.addEventListener("input", () => {
  section.querySelectorAll("table").forEach((table, i) => { table.closest(".wide").hidden = i !== +section.querySelector("[name=metric]").value; });
  section.querySelectorAll("[name^=column]").forEach((box, i) => section.querySelectorAll(`tr > :nth-child(${i + 3})`).forEach(cell => { cell.hidden = !box.checked; }));
}));
document.querySelectorAll("[name=gallery]").forEach(select => select.addEventListener("input", () =>
  select.closest("section").querySelectorAll(".gallery").forEach((gallery, i) => { gallery.hidden = i !== +select.value; })));
document.addEventListener("click", event => {
  const head = event.target.closest("th button")?.parentElement;
  if (!head) return;
  const table = head.closest("table"), body = table.tBodies[0], down = head.getAttribute("aria-sort") !== "descending";
  const key = row => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent;
  const order = (a, b) => { const [x, y] = [key(a), key(b)]; return x === "" || y === "" ? (x === "") - (y === "") :
    (isNaN(x) || isNaN(y) ? String(y).localeCompare(x) : y - x) * (down ? 1 : -1); };
  table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...[...body.rows].sort(order));
});
