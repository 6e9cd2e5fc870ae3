"""The HTML page of the picture server."""

from typing import Final

__all__ = ["PAGE"]

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hprnet-rt live</title>
<link rel="icon" href="data:,">
<style>
html, body { margin: 0; height: 100%; background: #111; color: #eee; font: 16px system-ui, sans-serif; }
body { display: flex; flex-direction: column; }
img { flex: 1; min-height: 0; width: 100%; object-fit: contain; }
p { margin: 0; padding: 0.4em 0.8em; font-variant-numeric: tabular-nums; }
.lost img { opacity: 0.3; }
.lost p { color: #fa5; }
</style>
</head>
<body>
<img alt="">
<p role="status">connecting</p>
<script>
"use strict";
const picture = document.querySelector("img"), line = document.querySelector("p");
let broken = true, lastTick = Date.now();
picture.onerror = () => { broken = true; };

function describe(status) {
  const { fps, age_ms, pictures, quiet_s, ...others } = status;
  if (!pictures) return "no picture yet";
  if (quiet_s > 2) return `no new picture for ${quiet_s.toFixed(0)} s`;
  const words = [];
  if (Number.isFinite(fps)) words.push(`${fps.toFixed(1)} FPS`);
  if (Number.isFinite(age_ms)) words.push(`age ${age_ms.toFixed(0)} ms`);
  for (const [name, value] of Object.entries(others)) {
    words.push(`${name.replaceAll("_", " ")} ${value ?? "-"}`);
  }
  return words.join(" \\u00b7 ");
}

async function tick() {
  // After a sleep of this machine the server has dropped this viewer, and the picture would stand still.
  if (Date.now() - lastTick > 5000) broken = true;
  lastTick = Date.now();
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(2000) });
    if (!answer.ok) throw new Error(answer.status);
    const status = await answer.json();
    if (broken) {
      broken = false;
      picture.src = "stream?" + Date.now();
    }
    line.textContent = describe(status);
    document.body.classList.toggle("lost", !status.pictures || status.quiet_s > 2);
  } catch {
    broken = true;
    line.textContent = "no signal";
    document.body.classList.add("lost");
  }
  setTimeout(tick, 1000);
}
tick();
</script>
</body>
</html>
"""
