// The page of `whatsapp-webhook serve`. Every text from a request is set by `textContent`.
'use strict';

const ROW = 52;
const $ = (id) => document.getElementById(id);

/** All rows that the server keeps, oldest first. */
let rows = [];
/** Rows that match the filters, newest first. */
let shown = [];
let totals = null;
let instance = null;
/** Number of the opened request, and what the server told of it. */
let opened = null;
let detail = null;
/** Numbers whose body contains the searched text, or null. */
let inBodies = null;
let source = null;
const kinds = new Set();
const numbers = new Set();

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

async function request(path, body) {
  const options = body === undefined ? {} : {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-whatsapp-webhook': '1' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
  const response = await fetch(path, options);
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let problem = `the server answered ${response.status}`;
  try { problem = JSON.parse(text).error || problem; } catch { /* not JSON */ }
  throw new Error(problem);
}

function report(error) {
  $('problem').textContent = error ? error.message : '';
}

// --- The stream ---------------------------------------------------------------------------------

function connect() {
  const last = rows.length ? rows[rows.length - 1].number : 0;
  source = new EventSource(`api/stream?after=${last}`);
  source.onopen = () => connection('open', 'connected');
  source.onerror = () => {
    connection('waiting', 'disconnected: waiting for the server');
    // Reconnects on its own, unless the server refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  };
  source.addEventListener('hello', (event) => {
    const hello = JSON.parse(event.data);
    if (instance !== null && instance !== hello.instance) restarted(hello.instance);
    instance = hello.instance;
    $('url').textContent = hello.url;
    const select = $('sample');
    if (select.options.length < 2) {
      for (const name of hello.samples) select.append(new Option(name, name));
      select.value = 'text';
      showPasted();
    }
  });
  source.addEventListener('rows', (event) => {
    const news = JSON.parse(event.data);
    if (totals && totals.generation !== news.totals.generation) forget();
    totals = news.totals;
    const last = rows.length ? rows[rows.length - 1].number : 0;
    const added = news.rows.filter((row) => row.number > last);
    for (const row of added) note(row);
    rows.push(...added);
    rows = rows.filter(isKept);
    schedule(added.length);
  });
}

/** The server drops other requests before deliveries. */
function isKept(row) {
  return row.number >= (row.verdict === 'delivery' ? totals.oldest : totals.oldest_other);
}

function connection(state, text) {
  $('connection').dataset.state = state;
  $('connection').textContent = text;
}

function forget() {
  rows = [];
  inBodies = null;
  close();
}

/** A new server has none of the old requests, and counts from 1. */
function restarted() {
  source.close();
  forget();
  totals = null;
  report(new Error('The server was restarted: earlier requests are gone.'));
  connect();
}

function note(row) {
  for (const [list, set, select] of [[row.kinds, kinds, 'kind'], [row.numbers, numbers, 'number']]) {
    for (const text of list) {
      if (set.size >= 200 || set.has(text)) continue;
      set.add(text);
      $(select).append(new Option(text, text));
    }
  }
  row.searched = [row.title, row.path, row.method, row.status, row.refusal?.reason, row.refusal?.detail,
    ...row.kinds, ...row.numbers].join(' ').toLowerCase();
}

let frame = null;
let arrived = 0;
function schedule(added) {
  arrived += added;
  frame ??= requestAnimationFrame(() => {
    frame = null;
    refresh();
    announce();
  });
}

let announced = 0;
/** Tells screen readers, at most every 5 seconds. */
function announce() {
  if (!arrived || announced) return;
  announced = setTimeout(() => { announced = 0; announce(); }, 5000);
  const last = rows[rows.length - 1];
  $('news').textContent = arrived === 1 && last ? `New: ${describe(last)}` : count(arrived, 'new request');
  arrived = 0;
}

// --- The list -----------------------------------------------------------------------------------

function refresh() {
  const text = $('text').value.trim().toLowerCase();
  const [kind, number, verdict] = ['kind', 'number', 'verdict'].map((id) => $(id).value);
  shown = [];
  for (let index = rows.length - 1; index >= 0; index--) {
    const row = rows[index];
    if (verdict && row.verdict !== verdict) continue;
    if (kind && !row.kinds.includes(kind)) continue;
    if (number && !row.numbers.includes(number)) continue;
    if (text && !row.searched.includes(text) && !inBodies?.has(row.number)) continue;
    shown.push(row);
  }
  $('shown').textContent = `${shown.length === rows.length ? '' : `${shown.length} of `}${count(rows.length, 'request')}`;
  $('empty').hidden = rows.length > 0;
  if (totals) {
    const size = (bytes) => `${(bytes / 1048576).toFixed(1)} MiB`;
    $('totals').textContent = `${totals.count} of at most ${totals.max_count} requests kept, ${size(totals.bytes)} of ${size(totals.max_bytes)}`;
    $('gone').hidden = !totals.gone;
    $('gone').textContent = `The oldest ${count(totals.gone, 'request')} ${totals.gone === 1 ? 'is' : 'are'} gone: a limit of kept requests was reached.`;
  }
  draw();
}

function describe(row) {
  const kind = row.refusal ? row.refusal.reason : row.kinds.join(', ');
  return `${row.verdict === 'missed' ? 'other path' : row.verdict} ${row.status} ${kind} ${row.title}`;
}

/** Draws only the visible rows: there may be thousands. */
function draw() {
  const list = $('list');
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 5);
  const drawn = [];
  for (let index = first; index < last; index++) drawn.push(drawRow(shown[index], index));
  const selected = shown.findIndex((row) => row.number === opened);
  if (selected >= 0 && (selected < first || selected >= last)) drawn.push(drawRow(shown[selected], selected));
  $('rows').style.height = `${shown.length * ROW}px`;
  $('rows').replaceChildren(...drawn);
  if (selected >= 0) list.setAttribute('aria-activedescendant', `row-${opened}`);
  else list.removeAttribute('aria-activedescendant');
}

function drawRow(row, index) {
  const made = element('div', 'row');
  made.id = `row-${row.number}`;
  made.setAttribute('role', 'option');
  made.setAttribute('aria-selected', String(row.number === opened));
  made.setAttribute('aria-posinset', index + 1);
  made.setAttribute('aria-setsize', shown.length);
  made.style.top = `${index * ROW}px`;
  const word = row.verdict === 'missed' ? 'other path' : row.verdict;
  const marks = [];
  if (row.events > 1) marks.push(count(row.events, 'event'));
  if (row.repeat_of) marks.push(`repeat of ${row.repeat_of}`);
  if (row.unread) marks.push('unread keys');
  if (row.origin !== 'live') marks.push(row.origin === 'page' ? 'sent by this page' : 'loaded');
  const kind = row.refusal ? row.refusal.reason : row.kinds.join(', ');
  made.append(
    element('span', '',
      element('span', `verdict ${row.verdict}`, `${word} ${row.status} `), `${kind} `,
      element('span', 'title', marks.join(', '))),
    element('span', 'title', `${clock(row.at)}  ${row.title}`));
  made.firstChild.childNodes.forEach((child) => { if (child.style) child.style.display = 'inline'; });
  made.addEventListener('click', () => open(row.number, true));
  return made;
}

function clock(at) {
  const time = new Date(at);
  return `${time.toLocaleTimeString(undefined, { hour12: false })}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

function move(step) {
  if (!shown.length) return;
  const at = shown.findIndex((row) => row.number === opened);
  const next = at < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, at + step));
  const list = $('list');
  if (next * ROW < list.scrollTop) list.scrollTop = next * ROW;
  else if ((next + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (next + 1) * ROW - list.clientHeight;
  open(shown[next].number, false);
}

// --- A request ----------------------------------------------------------------------------------

let loading = 0;
function open(number, reading) {
  opened = number;
  draw();
  if (reading) document.body.classList.add('reading');
  clearTimeout(loading);
  // A key that is held down opens only the last one.
  loading = setTimeout(() => load(number).catch(report), 30);
}

function close() {
  opened = null;
  detail = null;
  $('opened').hidden = true;
  $('detail-heading').textContent = 'No request is open';
  document.body.classList.remove('reading');
}

async function load(number) {
  const answer = await request(`api/requests/${number}`);
  if (opened !== number) return;
  report(null);
  detail = { ...answer, trees: [] };
  const row = answer.record;
  $('opened').hidden = false;
  $('detail-heading').textContent = `${number}: ${row.method} ${row.path}`;
  const facts = [['Answer', `${row.status}, ${row.verdict === 'missed' ? 'other path' : row.verdict}`],
    ['Time', `${new Date(row.at).toLocaleString()}, ${(row.micros / 1000).toFixed(1)} ms`],
    ['Length', `${row.length} bytes${row.verdict === 'delivery' ? `, ${count(answer.total, 'event')}` : ''}`]];
  if (row.repeat_of) facts.push(['Repeat', `its first event arrived before, in request ${row.repeat_of}`]);
  const refusal = row.refusal;
  if (refusal) {
    facts.push(['Reason', `${refusal.reason}: ${refusal.text}`]);
    if (refusal.detail) facts.push(['Detail', refusal.detail]);
    if (refusal.declared_length !== null) facts.push(['Declared', `${refusal.declared_length} bytes`]);
    if (refusal.received_length !== null) facts.push(['Received', `${refusal.received_length} bytes`]);
    facts.push(['Body', 'not kept: its signature was not verified']);
  }
  $('facts').replaceChildren(...facts.flatMap(([name, text]) => [element('dt', '', name), element('dd', '', text)]));
  $('advice').textContent = refusal?.advice ?? '';
  $('copy').hidden = $('find-form').hidden = $('resend-form').hidden = row.verdict !== 'delivery';
  $('find').value = $('found').value = $('resent').value = '';
  found = { text: '', hits: [], at: -1 };
  $('events').replaceChildren();
  showEvents(answer.events);
}

function showEvents(events) {
  for (const event of events) {
    const index = detail.trees.length;
    const made = element('details', 'event');
    const name = [event.kind, event.subtype, event.id].filter(Boolean).join(' ');
    made.append(element('summary', '', `${index + 1}. ${name}${event.known ? '' : ' (unknown kind)'}${event.unread.length ? ', unread keys' : ''}`));
    const tree = { made, event, raw: null, root: null };
    detail.trees.push(tree);
    made.addEventListener('toggle', () => { if (made.open) fill(tree); });
    if (index === 0) made.open = true;
    $('events').append(made);
  }
  $('more').hidden = detail.trees.length >= detail.total;
}

function fill(tree) {
  if (tree.root) return;
  const { event } = tree;
  const unread = new Set(event.unread);
  tree.raw = parse(event.raw);
  tree.root = branch(null, tree.raw, '', unread, 2);
  const raw = element('div', 'tree', tree.root);
  const typed = element('div', 'tree');
  if (event.typed) typed.append(branch(null, parse(event.typed), '', new Set(), 2));
  const views = element('div', 'views',
    element('section', '', element('h3', '', 'Typed view'), typed),
    element('section', '', element('h3', '', 'Raw JSON'), raw));
  tree.made.append(views);
  if (event.unread.length) {
    views.append(element('p', '', element('span', 'unread', `Not read by this version: ${event.unread.join(', ')}`)));
  }
}

/** Numbers keep their digits: JavaScript would round large ones. */
class Digits { constructor(text) { this.text = text; } }

function parse(text) {
  const keep = (_, value, context) => typeof value === 'number' && context?.source && String(value) !== context.source
    ? new Digits(context.source) : value;
  try { return JSON.parse(text, keep); } catch { return text; }
}

function scalar(value) {
  return value instanceof Digits ? value.text : JSON.stringify(value);
}

/** A folded part of a tree. Its children are made when it is opened. */
function branch(key, value, path, unread, depth) {
  const label = key === null ? [] : [element('span', 'key', `${key}: `)];
  const isUnread = unread.has(path) || unread.has(path.replace(/\[\d+\]/g, '[]')) || unread.has(path.replace(/\.?\[\d+\]/g, ''));
  const mark = path && isUnread ? 'unread' : '';
  if (value === null || typeof value !== 'object' || value instanceof Digits) {
    const made = element('div', mark, ...label, scalar(value));
    made.part = { key, value };
    return made;
  }
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const size = isList ? `[${entries.length}]` : `{${entries.length}}`;
  const made = element('details', '', element('summary', mark, ...label, element('span', 'size', size)));
  made.part = { key, value };
  made.fill = () => {
    if (made.parts) return;
    made.parts = new Map(entries.map(([name, child]) => {
      const below = isList ? `${path}[${name}]` : path ? `${path}.${name}` : name;
      return [name, branch(name, child, below, unread, depth - 1)];
    }));
    made.append(...made.parts.values());
  };
  made.addEventListener('toggle', () => { if (made.open) made.fill(); });
  if (depth > 0) { made.fill(); made.open = true; }
  return made;
}

let found = { text: '', hits: [], at: -1 };
function find() {
  const text = $('find').value.trim().toLowerCase();
  document.querySelectorAll('.hit').forEach((hit) => hit.classList.remove('hit'));
  if (!text || !detail) { $('found').value = ''; return; }
  if (text !== found.text) {
    found = { text, hits: [], at: -1 };
    detail.trees.forEach((tree, index) => collect(tree.raw ?? parse(tree.event.raw), [], index, text));
  }
  if (!found.hits.length) { $('found').value = 'not found in the shown events'; return; }
  found.at = (found.at + 1) % found.hits.length;
  const { tree: index, path } = found.hits[found.at];
  const tree = detail.trees[index];
  fill(tree);
  tree.made.open = true;
  let at = tree.root;
  for (const key of path) {
    at.fill();
    at.open = true;
    at = at.parts.get(key);
  }
  const hit = at.querySelector(':scope > summary') ?? at;
  hit.classList.add('hit');
  hit.scrollIntoView({ block: 'center' });
  $('found').value = `${found.at + 1} of ${found.hits.length}`;
}

function collect(value, path, tree, text) {
  if (found.hits.length >= 10000) return;
  const key = path[path.length - 1];
  const isScalar = value === null || typeof value !== 'object' || value instanceof Digits;
  if ((key !== undefined && key.toLowerCase().includes(text)) || (isScalar && scalar(value).toLowerCase().includes(text))) {
    found.hits.push({ tree, path });
  }
  if (isScalar) return;
  for (const [name, child] of Object.entries(value)) collect(child, [...path, name], tree, text);
}

async function copy() {
  if (!detail || detail.record.verdict !== 'delivery') return;
  const response = await fetch(`api/requests/${opened}/body`);
  if (!response.ok) throw new Error('this request is no longer kept');
  const text = await response.text();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure context, or without the permission.
    const area = element('textarea', 'unseen');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  $('news').textContent = $('copy').textContent = 'Copied';
  setTimeout(() => { $('copy').textContent = 'Copy raw JSON'; }, 1500);
}

// --- Controls -----------------------------------------------------------------------------------

function showPasted() {
  $('pasted-line').hidden = $('sample').value !== '';
}

function on(id, event, handler) {
  $(id).addEventListener(event, (happened) => {
    const done = handler(happened);
    if (done?.catch) done.catch(report);
  });
}

function openDialog(id) {
  if (!document.querySelector('dialog[open]')) $(id).showModal();
}

let searching = 0;
on('text', 'input', () => {
  refresh();
  clearTimeout(searching);
  const text = $('text').value.trim();
  inBodies = null;
  if (!text) return;
  searching = setTimeout(async () => {
    try {
      const numbers = await request(`api/search?text=${encodeURIComponent(text)}`);
      if (text === $('text').value.trim()) { inBodies = new Set(numbers); refresh(); }
    } catch (error) { report(error); }
  }, 150);
});
for (const id of ['kind', 'number', 'verdict']) on(id, 'change', refresh);
on('list', 'scroll', draw);
window.addEventListener('resize', draw);
on('more', 'click', async () => {
  const number = opened;
  const answer = await request(`api/requests/${number}?from=${detail.trees.length}`);
  if (opened === number) showEvents(answer.events);
  found.text = '';
});
on('back', 'click', () => { document.body.classList.remove('reading'); $('list').focus(); });
on('copy', 'click', copy);
on('find-form', 'submit', (event) => { event.preventDefault(); find(); });
on('resend-form', 'submit', async (event) => {
  event.preventDefault();
  $('resent').value = 'sending';
  try {
    const answer = await request('api/resend', { number: opened, url: $('resend-url').value });
    $('resent').value = `answered ${answer.status} in ${answer.ms} ms`;
  } catch (error) { $('resent').value = error.message; }
});
on('open-send', 'click', () => openDialog('send'));
on('close-send', 'click', () => $('send').close());
on('open-help', 'click', () => openDialog('help'));
on('close-help', 'click', () => $('help').close());
on('sample', 'change', showPasted);
on('send-form', 'submit', async (event) => {
  event.preventDefault();
  const forged = document.querySelector('input[name=signature]:checked').value === 'forged';
  const sample = $('sample').value;
  const what = sample ? { sample, forged } : { body: $('pasted').value, forged };
  try {
    const answer = await request('api/send', what);
    $('sent').value = `answered ${answer.status}, request ${answer.number}`;
  } catch (error) { $('sent').value = error.message; }
});
on('load', 'click', () => $('file').click());
on('file', 'change', async () => {
  const [file] = $('file').files;
  if (!file) return;
  const text = await file.text();
  $('file').value = '';
  const answer = await request('api/session', text);
  report(null);
  $('news').textContent = `${count(answer.loaded, 'request')} loaded`;
});
on('clear', 'click', () => request('api/clear', {}));

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const target = event.target;
  if (event.key === 'Escape') {
    document.body.classList.remove('reading');
    $('list').focus();
    return;
  }
  if (target.matches('input, select, textarea')) return;
  const inList = target === $('list');
  const page = Math.max(1, Math.floor($('list').clientHeight / ROW) - 1);
  const steps = inList
    ? { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -shown.length, End: shown.length } : {};
  const step = { j: 1, k: -1, ...steps }[event.key];
  if (step !== undefined) {
    move(step);
  } else if (event.key === 'Enter' && inList) {
    if (opened === null) move(1);
    document.body.classList.add('reading');
    $('detail').focus();
  } else if (event.key === '/') {
    $('text').focus();
  } else if (event.key === 'f' && detail) {
    document.body.classList.add('reading');
    $('find').focus();
  } else if (event.key === 'c') {
    copy().catch(report);
  } else if (event.key === 's') {
    openDialog('send');
  } else if (event.key === '?') {
    openDialog('help');
  } else {
    return;
  }
  event.preventDefault();
});

connect();
