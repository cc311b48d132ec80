// Draws a session's course from the data beside it in the page: the same rows as the table.
"use strict";

(() => {
  const place = document.getElementById("chart");
  if (!place || !window.echarts) return;
  const chart = echarts.init(place, null, { renderer: "svg" });

  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

  const level = (name, value, line) => ({
    name,
    yAxis: value,
    label: { formatter: `${name}  ${short.format(value)}`, position: "insideEndTop" },
    lineStyle: line,
  });

  function draw() {
    const data = JSON.parse(document.getElementById("chart-data").textContent);
    const measured = data.steps.filter((step) => step.value !== null);
    const failed = data.steps.filter((step) => step.failure);
    const values = measured.map((step) => step.value);
    const muted = colour("muted");
    const levels = data.lines
      .filter((line) => line.value !== null)
      .map((line) => level(line.name, line.value, { type: "dotted", color: colour("amber") }));
    if (data.baseline !== null)
      levels.push(level("baseline", data.baseline, { type: "dashed", color: muted }));
    const shown = [...values, ...levels.map((line) => line.yAxis)];
    const [low, high] = shown.length ? [Math.min(...shown), Math.max(...shown)] : [0, 1];
    const room = 0.06 * (high - low || Math.abs(high) || 1);

    chart.setOption(
      {
        animation: false,
        aria: { enabled: true, label: { description: description(data, measured, failed) } },
        textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: muted },
        grid: { left: 8, right: 12, top: 28, bottom: 26, containLabel: true },
        tooltip: {
          renderMode: "richText",
          trigger: "item",
          confine: true,
          backgroundColor: colour("surface"),
          borderColor: colour("line"),
          textStyle: { color: colour("ink"), fontSize: 12, width: 300, overflow: "break" },
          formatter: (point) => point.data.words ?? "",
        },
        xAxis: {
          type: "value",
          name: "trial",
          nameLocation: "middle",
          nameGap: 26,
          minInterval: 1,
          min: 0,
          max: (extent) => Math.max(5, extent.max),
          axisLine: { lineStyle: { color: colour("line") } },
          axisTick: { show: false },
          axisLabel: { color: muted },
          splitLine: { show: false },
        },
        yAxis: {
          type: "value",
          scale: true,
          min: low - room,
          max: high + room,
          axisLabel: {
            color: muted,
            showMinLabel: false,
            showMaxLabel: false,
            formatter: (value) => short.format(value),
          },
          splitLine: { lineStyle: { color: colour("line"), opacity: 0.6 } },
        },
        series: [
          {
            name: "best so far",
            type: "line",
            step: "end",
            symbol: "none",
            silent: true,
            lineStyle: { color: colour("river"), width: 2.5 },
            data: measured.map((step) => [step.number, step.best]),
            markLine: {
              symbol: "none",
              silent: true,
              label: { color: muted, fontSize: 11 },
              data: levels,
            },
          },
          {
            name: "trial",
            type: "scatter",
            symbolSize: 8,
            itemStyle: { borderColor: colour("river"), borderWidth: 1.5 },
            data: measured.map((step) => ({
              value: [step.number, step.value],
              words: words(step, data),
              itemStyle: mark(step),
            })),
          },
          {
            name: "failed",
            type: "scatter",
            symbol: "path://M0 0 L8 8 M8 0 L0 8",
            symbolSize: 8,
            itemStyle: { color: "none", borderColor: colour("ember"), borderWidth: 1.5 },
            data: failed.map((step) => ({
              value: [step.number, low - room],
              words: `Trial ${step.number} failed: ${step.failure}`,
            })),
          },
        ],
      },
      { notMerge: true },
    );
  }

  // Hollow: a shorter window shows another value than a full one would, and sets no record.
  const mark = (step) => {
    if (step.breaks.length) return { color: colour("amber-soft"), borderColor: colour("amber") };
    if (step.fidelity < 1) return { color: colour("surface"), borderType: "dotted" };
    return { color: colour(step.value === step.best ? "river" : "river-soft") };
  };

  const words = (step, data) =>
    `Trial ${step.number}: ${short.format(step.value)} ${data.unit}${length(step)}\n` +
    `${step.breaks.length ? `Beyond ${step.breaks.join(", ")}.\n` : ""}${step.kind}. ${step.reason}`;

  const length = (step) =>
    step.fidelity < 1 ? ` in ${Math.round(100 * step.fidelity)} % of a window` : "";

  function description(data, measured, failed) {
    const best = measured.at(-1)?.best;
    const parts = [`${data.objective} by trial: ${measured.length} measured, ${failed.length} failed.`];
    const shorter = measured.filter((step) => step.fidelity < 1).length;
    if (shorter) parts.push(`${shorter} measured in shorter windows, drawn hollow.`);
    if (data.baseline !== null) parts.push(`Baseline ${short.format(data.baseline)}.`);
    const beyond = measured.filter((step) => step.breaks.length).length;
    if (beyond) parts.push(`${beyond} beyond a limit.`);
    if (best != null) parts.push(`Best so far ${short.format(best)} ${data.unit}.`);
    return parts.join(" ");
  }

  draw();
  document.addEventListener("htmx:afterSettle", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => chart.resize()).observe(place);
})();
