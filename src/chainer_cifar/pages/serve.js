'use strict';
// Sends pictures to the server, one after another, and shows what it says of each.
const MOST_BYTES = Number(document.body.dataset.mostBytes);
// Names as they are; a name with bytes that are no text fits in no address, its number does.
const CLASSES = JSON.parse(document.body.dataset.classes);
const MOST_FILES = 100;
const PATIENCE = 30;  // times to ask again where too many pictures are waiting

const drop = document.querySelector('#drop');
const files = document.querySelector('#files');
const results = document.querySelector('#results');
const state = document.querySelector('#state');
const problem = document.querySelector('#problem');
const cards = [];
const waiting = [];  // those that the server is to be asked about
let busy = false;
let similar = {state: 'off'};

const percent = (share, digits = 1) => (100 * share).toFixed(digits) + '\u00a0%';
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const element = (tag, ...content) => {
  const made = document.createElement(tag);
  made.append(...content);
  return made;
};

const figure = (address, alt, caption) => {
  const image = element('img');
  image.src = address;
  image.alt = alt;
  return element('figure', image, element('figcaption', ...caption));
};

// Asks the server about a card's picture; throws an Error with a line for the user.
const ask = async (card, address) => {
  for (let tries = 0; ; tries += 1) {
    const form = new FormData();
    form.append('picture', card.blob, card.file.name);
    let response;
    try {
      response = await fetch(address, {method: 'POST', body: form});
    } catch {
      throw new Error('The server does not answer. Does it still run?');
    }
    if (response.status === 503 && tries < PATIENCE) {
      await pause(1000 * Number(response.headers.get('retry-after') || 1));
      continue;
    }
    let told = {};
    try {
      told = await response.json();
    } catch { /* what follows says enough */ }
    if (!response.ok) throw new Error(told.error || 'The server answers ' + response.status + '.');
    return told;
  }
};

const makeCard = (file) => {
  const part = document.querySelector('#card').content.cloneNode(true);
  const place = part.querySelector('.result');
  const card = {file, place, blob: null, address: URL.createObjectURL(file), of: '', alike: false};
  card.find = (selector) => place.querySelector(selector);
  card.find('h2').textContent = file.name;
  card.picture = card.find('.given img');
  card.picture.alt = file.name;
  card.picture.onerror = () => { card.picture.hidden = true; };  // a kind the browser cannot show
  card.picture.src = card.address;
  card.find('.remove').setAttribute('aria-label', 'Remove ' + file.name);
  card.find('.remove').onclick = () => {
    card.removed = true;
    cards.splice(cards.indexOf(card), 1);
    URL.revokeObjectURL(card.address);
    place.remove();
    tell();
  };
  results.prepend(place);
  cards.push(card);
  return card;
};

const showAnswer = (card, row) => {
  const [best] = row.top;
  const name = row.answer || best.class;
  const rest = row.rejected ? 'perhaps ' + best.class + ', ' + percent(best.probability)
    : percent(best.probability);
  card.of = best.class;
  card.find('.answer').replaceChildren(name + ' ', element('small', rest));
  card.find('.bars').replaceChildren(...row.top.map((guess) => {
    const bar = element('b');
    bar.style.width = 100 * guess.probability + '%';
    const button = element('button', element('span', guess.class), element('i', bar),
      element('span', percent(guess.probability)));
    button.type = 'button';
    button.title = 'What speaks for ' + guess.class + '?';
    button.onclick = () => {
      card.of = guess.class;
      mark(card);
      waiting.push(card);
      work();
    };
    return element('li', button);
  }));
  mark(card);
};

const mark = (card) => {
  for (const button of card.place.querySelectorAll('.bars button')) {
    const chosen = button.firstChild.textContent === card.of;
    button.setAttribute('aria-pressed', String(chosen));
  }
};

const showMaps = (card, told) => {
  const shown = [figure(told.seen, card.file.name + ' as the net sees it', ['Seen by the net'])];
  for (const map of told.maps) {
    const caption = map.kind === 'grad_cam' ? ['Grad-CAM: ', element('b', told.class)]
      : ['Covered: ', element('b', told.class), ' falls by ' + percent(map.falls, 0) + ' at most'];
    shown.push(figure(map.picture, 'where the net looks for ' + told.class, caption));
  }
  card.find('.maps').replaceChildren(...shown);
  if (card.picture.hidden) {
    card.picture.src = told.seen;
    card.picture.hidden = false;
  }
  card.alike = told.similar.length > 0;
  card.find('.alike .sheets').replaceChildren(...told.similar.map((each) => figure(
    each.picture, 'a training picture of ' + each.class,
    [element('b', each.class), ' ' + percent(each.similarity)])));
  showSimilar(card);
  if (similar.state === 'looking') follow();  // if it ended when the server did not answer
};

const showSimilar = (card) => {
  const text = card.alike ? ''
    : similar.state === 'looking' ? 'Looking through the training pictures: '
      + percent(similar.done, 0) + '. They appear here.'
    : similar.state === 'missing' ? 'None: ' + similar.reason : '';
  card.find('.alike').hidden = !card.alike && !text;
  card.find('.alike p').textContent = text;
};

const fail = (card, text) => {
  card.failed = true;
  card.place.classList.add('wrong');
  const name = card.file.name + ': ';  // which stands above it already
  card.find('.answer').textContent = text.startsWith(name) ? text.slice(name.length) : text;
  card.find('.maps').replaceChildren();
  card.find('.bars').replaceChildren();
  card.find('.alike').hidden = true;
};

const load = async (card) => {
  if (card.file.size > MOST_BYTES) {
    throw new Error('It has more than ' + MOST_BYTES / 1048576 + ' MB; make it smaller.');
  }
  let bytes;
  try {
    bytes = await card.file.arrayBuffer();
  } catch {
    throw new Error('It cannot be read. Is it a folder?');
  }
  card.blob = new Blob([bytes], {type: card.file.type});
};

// Works through the cards; what waits for its first answer comes before what is to be explained.
const work = async () => {
  if (busy) return;
  busy = true;
  while (waiting.length) {
    const first = waiting.findIndex((card) => !card.answered);
    const [card] = waiting.splice(Math.max(first, 0), 1);
    if (card.removed || card.failed) continue;
    try {
      if (!card.answered) {
        card.find('.answer').textContent = 'asking …';
        await load(card);
        showAnswer(card, (await ask(card, 'predict')).predictions[0]);
        card.answered = true;
        waiting.push(card);
      } else {
        showMaps(card, await ask(card, 'explain?number=' + CLASSES.indexOf(card.of)));
      }
    } catch (error) {
      if (card.answered) {
        card.find('.maps').replaceChildren(element('p', error.message));
      } else {
        fail(card, error.message);
      }
    }
    tell();
  }
  busy = false;
  tell();
};

const tell = () => {
  const open = waiting.filter((card) => !card.answered && !card.removed).length;
  state.textContent = open ? open + (open > 1 ? ' pictures are' : ' picture is') + ' waiting' : '';
};

const take = (list) => {
  const chosen = [...list];
  problem.hidden = chosen.length <= MOST_FILES;
  problem.textContent = chosen.length + ' are too many at once; these are the first ' + MOST_FILES + '.';
  // The newest stand on top, in the order in which they were given.
  waiting.push(...chosen.slice(0, MOST_FILES).reverse().map(makeCard).reverse());
  work();
};

// Follows how far the server is with the training pictures.
let following = false;
const follow = async () => {
  if (following) return;
  following = true;
  await lookOn();
  following = false;
};

const lookOn = async () => {
  do {
    try {
      const response = await fetch('about');
      if (!response.ok) return;
      similar = (await response.json()).similar;
    } catch {
      return;  // the next picture will tell
    }
    for (const card of shown()) showSimilar(card);
    if (similar.state === 'looking') await pause(1500);
  } while (similar.state === 'looking');
  if (similar.state === 'ready') {
    waiting.push(...shown().filter((card) => !card.alike));
    work();
  }
};

const shown = () => cards.filter((card) => card.answered && !card.failed);

files.onchange = () => {
  take(files.files);
  files.value = '';
};
for (const kind of ['dragenter', 'dragover']) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
}
addEventListener('dragleave', (event) => { if (!event.relatedTarget) drop.classList.remove('over'); });
addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  take(event.dataTransfer.files);
});
addEventListener('paste', (event) => take(event.clipboardData.files));
follow();
