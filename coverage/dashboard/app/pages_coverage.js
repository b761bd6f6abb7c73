/* SPDX-License-Identifier: Apache-2.0
 * pages_coverage.js - what was reached: lifecycles, exits, instruction sets, every other kind, the C code.
 * An item of d/coverage.js is [group, name, mask, scenarios, how many, reason]: a mask has a letter for each backend of the
 * coverage: 1 reached, 0 not, - cannot be. */
'use strict';

const KIND_PAGES = {exit: 'exits', exit_field: 'exits', lifecycle: 'lifecycle', lifecycle_edge: 'lifecycle', decode: 'isa', operand_class: 'isa', csr: 'isa'};
function kind_href(name) {
    return KIND_PAGES[name] ? '#/' + KIND_PAGES[name] : /^c_/.test(name) ? '#/code' : '#/coverage/' + encodeURIComponent(name);
}
function kind_of(name) {
    return DATA.coverage.kinds.find((k) => k.name === name) || null;
}
const no_coverage = () => empty('No coverage is part of this page.', 'conf dashboard --coverage FILE adds what conf run --coverage FILE wrote.');
/* Renders once the coverage is there. */
function with_coverage(make) {
    if (!M.d.has_coverage) return no_coverage();
    const holder = h('div', {}, h('p', {class: 'dim'}, 'Loading…'));
    load('d/coverage.js').then(() => {
        if (holder.isConnected) holder.replaceChildren(...[make()].flat(9).filter(Boolean));
        document.documentElement.dataset.ready = Number(document.documentElement.dataset.ready) + 1;
    }, (e) => holder.replaceChildren(empty(e.message)));
    return holder;
}
/* Of one backend, or of all together (-1). */
function reached(mask, b) {
    if (b >= 0) return mask[b];
    return mask.includes('1') ? '1' : mask.includes('0') ? '0' : '-';
}
function reached_word(c) {
    return c === '1' ? 'reached' : c === '0' ? 'not reached' : 'cannot be reached';
}
function backend_select(query, change) {
    const list = DATA.coverage.backends;
    const at = list.indexOf(query.get('on') || '');
    return [select('reached on', [['-1', 'any backend'], ...list.map((b, i) => [String(i), b || 'the program itself'])], String(at), (v) => {
        query_set({on: v === '-1' ? '' : list[Number(v)]});
        change(Number(v));
    }), at];
}
function scenario_link(text) {
    const sep = text.indexOf('::');
    for (const g of M.d.guests) {
        const c = case_find(text, g);
        if (c >= 0) return h('a', {href: case_path(c)}, text.slice(sep + 2), h('span', {class: 'dim'}, ' ', text.slice(0, sep)));
    }
    return h('span', {}, text);
}
/* The panel that says who reaches an item. */
function item_panel() {
    const panel = h('div', {class: 'panel', 'aria-live': 'polite'}, h('p', {class: 'dim small'}, 'Choose an item to see which scenarios reach it.'));
    panel.show = (kind, item) => {
        const d = DATA.coverage;
        panel.replaceChildren();
        fill(panel, {}, [h('h3', {}, item[1]), h('p', {class: 'dim small'}, kind + (item[0] ? ' · ' + item[0] : '')),
            h('p', {class: 'backs'}, d.backends.map((b, i) => h('span', {class: 'back c' + (item[2][i] === '-' ? 'n' : item[2][i])}, b || 'program', h('span', {class: 'sr'}, ' ' + reached_word(item[2][i]))))),
            item[5] && h('p', {}, item[5]),
            item[4] ? [h('p', {class: 'small'}, 'Reached by ' + plural(item[4], 'scenario') + (item[4] > item[3].length ? ', some of them:' : ':')), h('ul', {class: 'list'}, item[3].map((i) => h('li', {}, scenario_link(d.scenarios[i]))))]
                : h('p', {class: 'small'}, 'No scenario reaches it.')]);
    };
    return panel;
}
function tally(items, b) {
    let covered = 0, total = 0;
    for (const it of items) {
        const c = reached(it[2], b);
        if (c !== '-') total++;
        if (c === '1') covered++;
    }
    return [covered, total];
}
function share(items, b) {
    const [n, total] = tally(items, b);
    return h('span', {class: 'dim'}, total ? percent(n, total) + ' (' + n + '/' + total + ')' : 'cannot be reached here');
}
const legend_cover = () => h('p', {class: 'legend'}, h('span', {class: 'chip'}, h('span', {class: 'swatch c1'}), 'reached'), h('span', {class: 'chip'}, h('span', {class: 'swatch c0'}), 'not reached'), h('span', {class: 'chip'}, h('span', {class: 'swatch cn'}), 'cannot be'));

/* ---- lifecycles ---- */
const PLACES = { // by hand, on a grid of 100 x 60; other models go round a circle
    virtualcpu: {Created: [10, 30], Ready: [34, 30], Running: [62, 12], Paused: [86, 30], Halted: [50, 52], Faulted: [30, 6], Destroyed: [80, 55]},
    axvcpu: {Created: [10, 30], Free: [32, 30], Starting: [46, 8], Ready: [60, 30], Running: [88, 30], Blocked: [88, 54], Invalid: [36, 54]},
};
function places(model) {
    const known = PLACES[model.name];
    return model.states.map((st, i) => known && known[st] ? [known[st][0] * 9 + 10, known[st][1] * 5.6 + 24]
        : [460 + 360 * Math.cos(2 * Math.PI * i / model.states.length), 190 + 140 * Math.sin(2 * Math.PI * i / model.states.length)]);
}
const VERDICT = {a: 'allowed', s: 'rejected: not in this state', b: 'rejected: busy', u: 'not an operation of this model', p: 'rejected, and the state is lost'};
function lifecycle_model(model, b, panel) {
    const cells = new Map(), edges = new Map();
    const kind = kind_of('lifecycle'), edge_kind = kind_of('lifecycle_edge');
    for (const it of kind ? kind.items : []) {
        const m = it[1].match(/^(\S+) (\S+) in (\S+)/);
        if (m && m[1] === model.name) cells.set(m[2] + '\n' + m[3], it);
    }
    for (const it of edge_kind ? edge_kind.items : []) {
        const m = it[1].match(/^(\S+) (\S+?) ?(?:->|→|to) ?(\S+)$/);
        if (m && m[1] === model.name) edges.set(m[2] + '\n' + m[3], it);
    }
    const at = places(model), id = 'arrow-' + model.name;
    const has_back = (a, z) => model.edges.some((e) => e[0] === z && e[1] === a);
    const lines = model.edges.map(([a, z]) => {
        const name = model.states[a] + '\n' + model.states[z];
        let item = edges.get(name);
        let c = item ? reached(item[2], b) : '-';
        if (!item) { // by the cells that lead there
            const ways = model.ops.filter((op, o) => model.to[a][o].includes(z)).map((op) => cells.get(op + '\n' + model.states[a])).filter(Boolean);
            c = ways.some((it) => reached(it[2], b) === '1') ? '1' : ways.length ? '0' : '-';
        }
        const [x1, y1] = at[a], [x2, y2] = at[z], dx = x2 - x1, dy = y2 - y1, len = Math.hypot(dx, dy);
        const bend = has_back(a, z) ? 22 : 0, ux = dx / len, uy = dy / len, mx = (x1 + x2) / 2 - uy * bend, my = (y1 + y2) / 2 + ux * bend;
        const trim = (x, y, tx, ty, by) => {
            const l = Math.hypot(tx - x, ty - y), w = Math.min(by, 17 / Math.max(0.01, Math.abs(ty - y) / l), 46 / Math.max(0.01, Math.abs(tx - x) / l));
            return [x + (tx - x) / l * w, y + (ty - y) / l * w];
        };
        const [sx, sy] = trim(x1, y1, mx, my, 60), [ex, ey] = trim(x2, y2, mx, my, 64);
        const path = s('path', {d: 'M' + [sx, sy].map(Math.round) + ' Q' + [mx, my].map(Math.round) + ' ' + [ex, ey].map(Math.round), class: 'edge e' + (c === '-' ? 'n' : c), 'marker-end': 'url(#' + id + (c === '-' ? 'n' : c) + ')'}, s('title', {}, model.states[a] + ' → ' + model.states[z] + ': ' + reached_word(c)));
        if (item) path.addEventListener('click', () => panel.show('lifecycle edge', item));
        return path;
    });
    const nodes = model.states.map((st, i) => {
        const [n, total] = tally([...cells].filter(([k]) => k.endsWith('\n' + st)).map(([, it]) => it), b);
        return s('g', {transform: 'translate(' + at[i].map(Math.round) + ')'}, s('rect', {x: -46, y: -19, width: 92, height: 38, rx: 10, class: 'state' + (total && n === total ? ' full' : n ? ' part' : '') + (i === model.initial ? ' initial' : '')}),
            s('text', {y: -1, class: 'state-name'}, st), s('text', {y: 13, class: 'state-n'}, total ? n + '/' + total : ''));
    });
    const nedges = [...model.edges].length, svg_label = model.name + ': ' + model.states.length + ' states, ' + nedges + ' edges';
    const diagram = s('svg', {viewBox: '0 0 940 380', class: 'diagram', role: 'img', 'aria-label': svg_label},
        s('defs', {}, ['0', '1', 'n'].map((k) => s('marker', {id: id + k, viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto'}, s('path', {d: 'M0 0L8 4L0 8z', class: 'arrow e' + k})))), lines, nodes);
    const rows = model.ops.map((op, o) => [op, ...model.states.map((st, i) => {
        const v = model.verdicts[i][o], it = cells.get(op + '\n' + st), c = it ? reached(it[2], b) : '-';
        const words = op + ' in ' + st + ': ' + VERDICT[v] + ', ' + (it ? reached_word(c) : 'not counted');
        const mark = v === 'a' ? '●' : v === 'p' ? '☠' : v === 'u' ? '·' : '○';
        return it ? h('button', {type: 'button', class: 'cell c' + (c === '-' ? 'n' : c), title: words, 'aria-label': words, onclick: () => panel.show('lifecycle cell', it)}, mark)
            : h('span', {class: 'cell cn', title: words}, mark, h('span', {class: 'sr'}, words));
    })]);
    const all = [...cells.values()];
    return card(model.name, h('p', {}, share(all, b)), h('div', {class: 'diagram-wrap', tabindex: 0, role: 'region', 'aria-label': 'diagram of ' + model.name}, diagram),
        table(['operation', ...model.states], rows, {class: 'cells', caption: model.name + ': operations and states'}),
        h('p', {class: 'dim small'}, '● allowed, ○ rejected, ☠ rejected and the state is lost, · not an operation of this model'));
}
page({path: 'lifecycle', key: 'l', title: 'Lifecycles', nav: 'Lifecycles', render: (args, query) => with_coverage(() => {
    const panel = item_panel(), holder = h('div');
    const draw = (b) => holder.replaceChildren(...M.d.lifecycles.map((m) => lifecycle_model(m, b, panel)));
    const [field, at] = backend_select(query, draw);
    draw(at);
    return [h('div', {class: 'tools'}, field), legend_cover(), h('div', {class: 'with-panel'}, holder, panel)];
})});

/* ---- exits ---- */
page({path: 'exits', key: 'e', title: 'Exit reasons', nav: 'Exits', render: (args, query) => with_coverage(() => {
    const d = DATA.coverage, panel = item_panel(), holder = h('div');
    const exits = kind_of('exit'), fields = kind_of('exit_field');
    const by_exit = new Map(), by_field = new Map();
    for (const it of exits ? exits.items : []) by_exit.set(it[1], it);
    for (const it of fields ? fields.items : []) {
        const m = it[1].match(/^([a-z_0-9]+)[ .:/](\S+)/) || [null, it[0], it[1]];
        if (!by_field.has(m[1])) by_field.set(m[1], []);
        by_field.get(m[1]).push([m[2], it]);
    }
    let with_fields = query.get('fields') !== '0', gaps = query.get('gaps') === '1';
    const shown = d.backends.map((b, i) => i).filter((i) => d.backends[i] !== '');
    const input = h('input', {type: 'search', value: query.get('q') || '', 'aria-label': 'filter', placeholder: 'exit or field', oninput: () => draw(), spellcheck: 'false'});
    const mark = (kind, it, i) => {
        const c = it[2][i], words = it[1] + ' on ' + d.backends[i] + ': ' + reached_word(c);
        return h('button', {type: 'button', class: 'cell c' + (c === '-' ? 'n' : c), title: words, 'aria-label': words, onclick: () => panel.show(kind, it)}, c === '1' ? '●' : c === '0' ? '○' : '–');
    };
    function draw() {
        query_set({q: input.value, fields: with_fields ? '' : '0', gaps: gaps ? '1' : ''});
        const q = input.value.toLowerCase(), rows = [];
        for (const name of [...new Set([...M.d.exits.map((x) => x[0]), ...by_exit.keys()])]) {
            const it = by_exit.get(name), list = by_field.get(name) || [];
            const own = name.includes(q), of_it = list.filter(([f]) => own || f.includes(q));
            const gap = (x) => !gaps || (x && x[2].includes('0'));
            const sub = with_fields ? of_it.filter(([, x]) => gap(x)) : [];
            if ((!own && !of_it.length) || (!gap(it) && !sub.length)) continue;
            rows.push(h('tr', {class: 'group'}, h('th', {scope: 'row'}, name), shown.map((i) => h('td', {}, it ? mark('exit', it, i) : ''))));
            for (const [f, x] of sub) rows.push(h('tr', {class: 'sub'}, h('th', {scope: 'row'}, f), shown.map((i) => h('td', {}, mark('exit field', x, i)))));
        }
        holder.replaceChildren(table(['exit', ...shown.map((i) => ({text: d.backends[i], class: 'tilt', node: h('span', {}, d.backends[i])}))], rows, {class: 'cells', first: 400, caption: 'exits, fields and backends', none: 'No exit fits.'}));
    }
    draw();
    return [h('div', {class: 'tools'}, h('label', {class: 'field grow'}, h('span', {}, 'Filter'), input), check('fields', with_fields, (v) => { with_fields = v; draw(); }), check('gaps only', gaps, (v) => { gaps = v; draw(); })),
        h('p', {}, 'Exits: ', share(exits ? exits.items : [], -1), ' · fields: ', share(fields ? fields.items : [], -1)), legend_cover(), h('div', {class: 'with-panel'}, holder, panel)];
})});

/* ---- instruction sets ---- */
/* "riscv64 amoadd.d ord=aq" of the group "riscv64 A": the ISA is said once. */
function isa_short(it) {
    const isa = it[0].split(' ')[0];
    return isa && it[1].startsWith(isa + ' ') ? it[1].slice(isa.length + 1) : it[1];
}
function grouped(items, key) {
    const groups = new Map();
    for (const it of items) {
        const k = key(it);
        if (!groups.has(k)) groups.set(k, []);
        groups.get(k).push(it);
    }
    return groups;
}
page({path: 'isa', key: 'i', title: 'Instruction sets', nav: 'ISA', render: (args, query, head) => with_coverage(() => {
    const panel = item_panel(), holder = h('div', {class: 'isa-cards'});
    const [insns, operands, csrs] = ['decode', 'operand_class', 'csr'].map((name) => (kind_of(name) || {items: []}).items);
    if (!insns.length && !operands.length && !csrs.length) return empty('The coverage has no instructions.', 'Only the simulator knows which rows of its tables were decoded.');
    let b = -1, gaps = query.get('gaps') === '1';
    const group = args[0];
    if (group) {
        head.textContent = group;
        holder.classList.add('one');
    }
    const by_group = {insns: grouped(insns, (it) => it[0]), operands: grouped(operands, (it) => it[0]), csrs: grouped(csrs, (it) => it[0])};
    const input = h('input', {type: 'search', value: query.get('q') || '', 'aria-label': 'filter', placeholder: 'instruction, CSR, extension', oninput: () => draw(), spellcheck: 'false'});
    const fits = (it, q) => (!q || (it[1] + ' ' + it[0]).toLowerCase().includes(q)) && (!gaps || reached(it[2], b) === '0');
    function tile(kind, it, text, cls) {
        const c = reached(it[2], b);
        return h('button', {type: 'button', class: (cls || 'insn') + ' c' + (c === '-' ? 'n' : c), title: it[1] + ': ' + reached_word(c) + ', ' + plural(it[4], 'scenario'), 'aria-label': text + ', ' + reached_word(c), onclick: () => panel.show(kind, it)}, text);
    }
    function figure(word, items) {
        const [n, total] = tally(items, b);
        return items.length ? h('div', {class: 'figure'}, h('span', {class: 'small dim'}, word), bar(n, total, word), h('span', {class: 'small num'}, total ? n + '/' + total : '–')) : null;
    }
    function extension_card(name, q) {
        const all = by_group.insns.get(name) || [], classes = by_group.operands.get(name) || [];
        const list = all.filter((it) => fits(it, q) || (group && classes.some((o) => isa_short(o).split(' ')[0] === isa_short(it) && fits(o, q))));
        if (!list.length) return null;
        const of_insn = grouped(classes, (it) => isa_short(it).split(' ')[0]);
        return h('section', {class: 'card isa'}, h('h2', {}, group ? name : h('a', {href: '#/isa/' + encodeURIComponent(name)}, name)), figure('instructions', all), figure('operand classes', classes),
            group ? h('div', {class: 'operands'}, list.map((it) => h('div', {class: 'operand-row'}, tile('instruction', it, isa_short(it)),
                h('div', {class: 'tiles-isa'}, (of_insn.get(isa_short(it)) || []).filter((o) => fits(o, q)).map((o) => tile('operand class', o, isa_short(o).split(' ').slice(1).join(' '), 'insn small-tile'))))))
                : h('div', {class: 'tiles-isa'}, list.map((it) => tile('instruction', it, isa_short(it)))));
    }
    function csr_card(name, q) {
        const all = by_group.csrs.get(name) || [], list = all.filter((it) => fits(it, q));
        if (!list.length) return null;
        return h('section', {class: 'card isa'}, h('h2', {}, group ? name + ' CSRs' : h('a', {href: '#/isa/' + encodeURIComponent(name)}, name + ' CSRs')), figure('accesses', all),
            h('div', {class: 'csrs'}, [...grouped(list, (it) => isa_short(it).split(' ')[0])].map(([csr, accesses]) => h('div', {class: 'csr'}, h('span', {class: 'csr-name'}, csr),
                accesses.map((it) => tile('CSR access', it, isa_short(it).split(' ').slice(1).join(' ') || csr, 'insn small-tile'))))));
    }
    function draw() {
        query_set({q: input.value, gaps: gaps ? '1' : ''});
        const q = input.value.toLowerCase();
        const names = (m) => [...m.keys()].filter((name) => !group || name === group);
        const cards = [...names(by_group.insns).map((name) => extension_card(name, q)), ...names(by_group.csrs).map((name) => csr_card(name, q))].filter(Boolean);
        holder.replaceChildren(...(cards.length ? cards : [empty(gaps ? 'No gaps here.' : 'Nothing fits.')]));
    }
    const [field, at] = backend_select(query, (v) => { b = v; draw(); });
    b = at;
    draw();
    return [group && h('p', {}, h('a', {href: '#/isa'}, 'All extensions')), !group && h('p', {}, 'Instructions: ', share(insns, -1), ' · operand classes: ', share(operands, -1), ' · CSR accesses: ', share(csrs, -1)),
        h('div', {class: 'tools'}, h('label', {class: 'field grow'}, h('span', {}, 'Filter'), input), field, check('gaps only', gaps, (v) => { gaps = v; draw(); })), legend_cover(), h('div', {class: 'with-panel'}, holder, panel)];
})});

/* ---- every kind ---- */
page({path: 'coverage', key: 'c', title: 'Coverage', nav: 'Coverage', render: (args, query, head) => {
    if (!args[0]) {
        if (!M.d.kinds.length) return no_coverage();
        return with_coverage(() => {
            const d = DATA.coverage;
            const rows = M.d.kinds.map((k) => {
                const kind = kind_of(k.name);
                return [h('a', {href: kind_href(k.name)}, k.title), bar(k.covered, k.total, k.title), h('span', {class: 'num'}, percent(k.covered, k.total)), number(k.covered) + ' / ' + number(k.total),
                    k.last === null ? '' : delta(k.covered - k.last, true), k.main === null ? '' : delta(k.covered - k.main, true),
                    ...d.backends.map((b, i) => {
                        if (!kind || !kind.items.length) return '';
                        const [n, total] = tally(kind.items, i);
                        return total ? h('span', {class: 'num nowrap'}, percent(n, total)) : h('span', {class: 'dim'}, '–');
                    })];
            });
            return [table(['kind', share_head(), 'reached', 'items', {text: 'last', title: 'since the last run'}, {text: 'main', title: 'since main'}, ...d.backends.map((b) => b || 'program')], rows, {caption: 'coverage by kind and backend'}),
                M.d.cover_changes.length ? card('Came and went', cover_change_table(M.d.cover_changes)) : null];
        });
    }
    const k = M.d.kinds.find((x) => x.name === args[0]);
    head.textContent = k ? k.title : args[0];
    return with_coverage(() => {
        const kind = kind_of(args[0]), d = DATA.coverage;
        if (!kind) return empty('No coverage of this kind.');
        const panel = item_panel(), holder = h('div');
        let gaps = query.get('gaps') === '1';
        const shown = d.backends.map((_, i) => i).filter((i) => kind.items.some((it) => it[2][i] !== '-'));
        const input = h('input', {type: 'search', value: query.get('q') || '', 'aria-label': 'filter', placeholder: 'item or group', oninput: () => draw(), spellcheck: 'false'});
        function draw() {
            query_set({q: input.value, gaps: gaps ? '1' : ''});
            const q = input.value.toLowerCase();
            const list = kind.items.filter((it) => (!q || (it[0] + ' ' + it[1]).toLowerCase().includes(q)) && (!gaps || reached(it[2], -1) === '0'));
            holder.replaceChildren(table(['item', 'group', ...shown.map((i) => ({text: d.backends[i], class: 'tilt', node: h('span', {}, d.backends[i] || 'program')})), 'scenarios'],
                list.map((it) => () => [h('button', {type: 'button', class: 'link', 'data-row': true, onclick: () => panel.show(kind.title, it)}, it[1]), it[0],
                    ...shown.map((i) => h('span', {class: 'cell c' + (it[2][i] === '-' ? 'n' : it[2][i])}, it[2][i] === '1' ? '●' : it[2][i] === '0' ? '○' : '–', h('span', {class: 'sr'}, reached_word(it[2][i])))), h('span', {class: 'num'}, number(it[4]))]),
                {class: 'cells', first: 200, caption: kind.title, none: gaps ? 'No gaps.' : 'No item fits.'}));
        }
        draw();
        return [h('p', {}, h('a', {href: '#/coverage'}, 'All kinds')), h('p', {}, share(kind.items, -1)), h('div', {class: 'tools'}, h('label', {class: 'field grow'}, h('span', {}, 'Filter'), input), check('gaps only', gaps, (v) => { gaps = v; draw(); })), legend_cover(), h('div', {class: 'with-panel'}, holder, panel)];
    });
}});

/* ---- the C code ---- */
page({path: 'code', key: 's', title: 'C code', nav: 'C code', render: (args, query) => {
    const files = M.d.code;
    if (!files.length) return empty('The coverage of the C code is not part of this page.', 'conf coverage --gcovr adds it to the coverage; conf dashboard --gcovr DIR links what gcovr --html-details wrote into DIR.');
    const module_of = (f) => f.split('/').slice(0, -1).join('/') || f;
    const modules = new Map();
    for (const f of files) {
        const m = module_of(f[0]);
        if (!modules.has(m)) modules.set(m, [m, 0, 0, 0, 0, 0, 0, []]);
        const x = modules.get(m);
        for (let i = 1; i < 7; i++) x[i] += f[i];
        x[7].push(f);
    }
    const holder = h('div');
    const input = h('input', {type: 'search', value: query.get('q') || '', 'aria-label': 'filter', placeholder: 'module or file', oninput: () => draw(), spellcheck: 'false'});
    const cells = (x) => [1, 3, 5].flatMap((i) => x[i + 1] ? [bar(x[i], x[i + 1], x[0]), h('span', {class: 'num nowrap'}, percent(x[i], x[i + 1]))] : ['', '–']);
    const link = (f) => f[7] ? h('a', {href: f[7]}, f[0]) : h('span', {}, f[0]);
    function draw() {
        query_set({q: input.value});
        const q = input.value.toLowerCase();
        const heads = ['', share_head(), 'lines', share_head(), 'branches', share_head(), 'functions'];
        if (q) {
            heads[0] = 'file';
            holder.replaceChildren(table(heads, files.filter((f) => f[0].toLowerCase().includes(q)).map((f) => [link(f), ...cells(f)]), {caption: 'files', none: 'No file fits.'}));
            return;
        }
        heads[0] = 'module';
        holder.replaceChildren(table(heads, [...modules.values()].map((m) => [m[7].length > 1 || m[7][0][7] ? h('a', {href: '#/code?q=' + encodeURIComponent(m[0] + '/')}, m[0]) : m[0], ...cells(m)]), {caption: 'modules'}));
    }
    draw();
    return [h('div', {class: 'tools'}, h('label', {class: 'field grow'}, h('span', {}, 'Filter'), input)), holder];
}});
