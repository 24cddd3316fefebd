// Confetti for a claim that arrived; none for whoever asked for less motion.

const PIECES = 140;
const LIFE_MS = 3200;
const GRAVITY = 0.0011;

export function confetti() {
  const canvas = document.getElementById("confetti");
  if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) return;
  const ratio = Math.min(devicePixelRatio, 2);
  const [width, height] = [innerWidth, innerHeight];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.hidden = false;
  const paper = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const colours = ["--accent", "--confetti-1", "--confetti-2", "--confetti-3"].map((name) => style.getPropertyValue(name));
  const pieces = Array.from({ length: PIECES }, (_, n) => piece(n, width, height, colours));
  const began = performance.now();
  const frame = (now) => {
    const age = now - began;
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    paper.clearRect(0, 0, width, height);
    for (const one of pieces) put(paper, one, age);
    if (age < LIFE_MS) requestAnimationFrame(frame);
    else canvas.hidden = true;
  };
  requestAnimationFrame(frame);
}

// Two fans, from the lower left and the lower right.
function piece(n, width, height, colours) {
  const left = n % 2 === 0;
  const angle = ((left ? -65 : -115) + (Math.random() - 0.5) * 40) * (Math.PI / 180);
  const speed = (0.55 + Math.random() * 0.6) * Math.min(1.25, height / 800);
  return {
    x: left ? width * 0.08 : width * 0.92,
    y: height * 0.85,
    vx: Math.cos(angle) * speed,
    vy: Math.sin(angle) * speed,
    size: 5 + Math.random() * 6,
    spin: (Math.random() - 0.5) * 0.02,
    colour: colours[n % colours.length],
  };
}

function put(paper, { x, y, vx, vy, size, spin, colour }, age) {
  paper.save();
  paper.globalAlpha = Math.max(0, Math.min(1, (LIFE_MS - age) / 900));
  paper.translate(x + vx * age * 0.8, y + vy * age + (GRAVITY * age * age) / 2);
  paper.rotate(spin * age);
  paper.scale(1, Math.cos(age * spin * 2));
  paper.fillStyle = colour;
  paper.fillRect(-size / 2, -size / 3, size, size * 0.66);
  paper.restore();
}
