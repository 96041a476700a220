'use strict';
// Tells the numbers of the epoch under the pointer; with the keyboard, by the arrow keys.
for (const plot of document.querySelectorAll('.plot')) {
  const data = JSON.parse(plot.querySelector('script').textContent);
  const cursor = plot.querySelector('.cursor');
  const tip = plot.querySelector('.tip');
  let shown = data.epochs.length - 1;

  const show = (index) => {
    shown = Math.min(Math.max(index, 0), data.epochs.length - 1);
    const place = data.places[shown];
    tip.replaceChildren('epoch ' + data.epochs[shown]);
    for (const line of data.lines) {
      if (!line.texts[shown]) continue;
      const row = document.createElement('div');
      const value = document.createElement('b');
      row.className = 'k' + line.colour;
      value.textContent = line.texts[shown];
      row.append(line.name + ' ', value);
      tip.append(row);
    }
    cursor.style.left = place + '%';
    tip.style.left = place < 50 ? 'calc(' + place + '% + .5rem)' : 'auto';
    tip.style.right = place < 50 ? 'auto' : 'calc(' + (100 - place) + '% + .5rem)';
    plot.setAttribute('aria-valuenow', data.epochs[shown]);
    plot.setAttribute('aria-valuetext', [...tip.childNodes].map((each) => each.textContent).join(', '));
    cursor.hidden = tip.hidden = false;
  };
  const hide = () => { cursor.hidden = tip.hidden = true; };
  const nearest = (event) => {
    const box = plot.getBoundingClientRect();
    const share = 100 * (event.clientX - box.left) / box.width;
    const away = data.places.map((place) => Math.abs(place - share));
    show(away.indexOf(Math.min(...away)));
  };
  plot.addEventListener('pointermove', nearest);
  plot.addEventListener('pointerdown', nearest);
  plot.addEventListener('pointerleave', hide);
  plot.addEventListener('focus', () => show(shown));
  plot.addEventListener('blur', hide);
  plot.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step) {
      event.preventDefault();
      show(shown + step);
    }
  });
}
