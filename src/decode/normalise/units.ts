/**
 * Units by their UCUM codes (https://ucum.org, case sensitive): enough of the standard to convert what devices
 * measure. A unit is a product of powers of base units, a factor, and, for temperatures, an offset.
 */
export interface Unit {
  /** Exponents of the base units: m, s, g, K, A, mol, cd, rad, bit, and counts, which have none. */
  readonly dimension: Dimension;
  /** value in base units = value * factor + offset */
  readonly factor: number;
  readonly offset: number;
}

type Dimension = readonly number[];

/** `y = x * factor + offset`. */
export interface Linear {
  readonly factor: number;
  readonly offset: number;
}

/** Why two units can't be converted, or a code is none that we know. */
interface UnitProblem {
  readonly code: string;
  readonly expected: string;
}

const BASES = ['m', 's', 'g', 'K', 'A', 'mol', 'cd', 'rad', 'bit'] as const;
const NONE: Dimension = BASES.map(() => 0);

const PREFIXES: ReadonlyMap<string, number> = new Map([
  ['Y', 1e24],
  ['Z', 1e21],
  ['E', 1e18],
  ['P', 1e15],
  ['T', 1e12],
  ['G', 1e9],
  ['M', 1e6],
  ['k', 1e3],
  ['h', 1e2],
  ['da', 1e1],
  ['d', 1e-1],
  ['c', 1e-2],
  ['m', 1e-3],
  ['u', 1e-6],
  ['n', 1e-9],
  ['p', 1e-12],
  ['f', 1e-15],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
]);

/** Metric atoms, which take prefixes: code -> factor and definition in base units or earlier atoms. */
const METRIC: readonly (readonly [string, number, string])[] = [
  ['Hz', 1, 's-1'],
  ['Bq', 1, 's-1'],
  ['N', 1000, 'g.m.s-2'],
  ['Pa', 1, 'N.m-2'],
  ['J', 1, 'N.m'],
  ['W', 1, 'J.s-1'],
  ['C', 1, 'A.s'],
  ['V', 1, 'J.C-1'],
  ['F', 1, 'C.V-1'],
  ['Ohm', 1, 'V.A-1'],
  ['S', 1, 'A.V-1'],
  ['Wb', 1, 'V.s'],
  ['T', 1, 'Wb.m-2'],
  ['H', 1, 'Wb.A-1'],
  ['lm', 1, 'cd.rad2'],
  ['lx', 1, 'lm.m-2'],
  ['Gy', 1, 'J.kg-1'],
  ['Sv', 1, 'J.kg-1'],
  ['L', 1e-3, 'm3'],
  ['l', 1e-3, 'm3'],
  ['ar', 100, 'm2'],
  ['t', 1e6, 'g'],
  ['bar', 1e5, 'Pa'],
  ['eV', 1.602176634e-19, 'J'],
  ['cal', 4.184, 'J'],
  ['By', 8, 'bit'],
  ['G', 1e-4, 'T'],
  ['m[H2O]', 9806.65, 'Pa'],
  ['m[Hg]', 133322, 'Pa'],
];

/** Atoms without prefixes. Exact where their definition is. */
const CUSTOMARY: readonly (readonly [string, number, string])[] = [
  ['%', 0.01, '1'],
  ['[ppth]', 1e-3, '1'],
  ['[ppm]', 1e-6, '1'],
  ['[ppb]', 1e-9, '1'],
  ['[pptr]', 1e-12, '1'],
  ['min', 60, 's'],
  ['h', 3600, 's'],
  ['d', 86_400, 's'],
  ['wk', 604_800, 's'],
  ['a', 31_557_600, 's'],
  ['deg', Math.PI / 180, 'rad'],
  ["'", Math.PI / 10_800, 'rad'],
  ["''", Math.PI / 648_000, 'rad'],
  ['circ', 2 * Math.PI, 'rad'],
  ['[in_i]', 0.0254, 'm'],
  ['[ft_i]', 0.3048, 'm'],
  ['[yd_i]', 0.9144, 'm'],
  ['[mi_i]', 1609.344, 'm'],
  ['[nmi_i]', 1852, 'm'],
  ['[kn_i]', 1852 / 3600, 'm.s-1'],
  ['[lb_av]', 453.59237, 'g'],
  ['[oz_av]', 28.349523125, 'g'],
  ['[lbf_av]', 4.4482216152605, 'N'],
  ['[psi]', 6894.757293168361, 'Pa'],
  ['atm', 101_325, 'Pa'],
  ['[gal_us]', 3.785411784e-3, 'm3'],
  ['[gal_br]', 4.54609e-3, 'm3'],
  ['[pt_us]', 4.73176473e-4, 'm3'],
  ['[cft_i]', 0.028316846592, 'm3'],
  ['[sft_i]', 0.09290304, 'm2'],
  ['[HP]', 745.6998715822702, 'W'],
  ['[Btu_IT]', 1055.05585262, 'J'],
  ['[g]', 9.80665, 'm.s-2'],
];

/** Special units (UCUM section 21 and 22): their zero is not the base unit's. */
const SPECIAL: ReadonlyMap<string, Unit> = new Map([
  ['Cel', { dimension: only('K'), factor: 1, offset: 273.15 }],
  ['[degF]', { dimension: only('K'), factor: 5 / 9, offset: 459.67 * (5 / 9) }],
]);

const TABLE: ReadonlyMap<string, { readonly unit: Unit; readonly metric: boolean }> = buildTable();

/**
 * The unit that a code stands for: terms joined by `.` and `/`, each an atom with an optional prefix and
 * exponent, or a whole number (UCUM section 7); annotations in braces count as 1.
 */
export function parseUnit(code: string): Unit | undefined {
  return parseWith(code, TABLE);
}

/** What takes a value in one unit to the same in another; a problem if they don't measure the same. */
export function conversion(
  from: string,
  to: string,
): { readonly linear: Linear } | { readonly problem: UnitProblem } {
  const source = parseUnit(from);
  if (source === undefined) return { problem: { code: from, expected: 'a UCUM unit that is known here' } };
  const target = parseUnit(to);
  if (target === undefined) return { problem: { code: to, expected: 'a UCUM unit that is known here' } };
  if (source.dimension.some((exponent, index) => exponent !== target.dimension[index])) {
    return { problem: { code: from, expected: `a unit that measures the same as ${to}` } };
  }
  return {
    linear: {
      factor: tidy(source.factor / target.factor),
      offset: tidyOffset((source.offset - target.offset) / target.factor),
    },
  };
}

/** Without the last digits where they are the arithmetic's and not the unit's: 0.1 * 10 should be 1. */
function tidy(value: number): number {
  const rounded = Number(value.toPrecision(15));
  return String(rounded).length < 12 ? rounded : value;
}

/** The same for degrees, of which hundredths are all that definitions have. */
function tidyOffset(value: number): number {
  const rounded = Number(value.toFixed(2));
  return Math.abs(rounded - value) < 1e-11 ? rounded : value;
}

type AtomTable = ReadonlyMap<string, { readonly unit: Unit; readonly metric: boolean }>;

function parseWith(code: string, table: AtomTable): Unit | undefined {
  // An annotation says nothing; one that stands alone is a 1. Brackets may hold a dot or a slash.
  const text = code
    .replaceAll(/(^|[./])\{[^{}]*\}/g, (_all, before: string) => `${before}1`)
    .replaceAll(/\{[^{}]*\}/g, '');
  const terms = text.match(/[./]?[^./[\]]*(?:\[[^\]]*\][^./[\]]*)?/g)?.filter((term) => term !== '') ?? [];
  if (terms.length === 0 || terms.join('') !== text) return undefined;
  if (terms.length === 1 && SPECIAL.has(text)) return SPECIAL.get(text);

  let unit: Unit = { dimension: NONE, factor: 1, offset: 0 };
  for (const [index, term] of terms.entries()) {
    const divides = term.startsWith('/');
    if (term.startsWith('.') && index === 0) return undefined;
    const body = /^[./]/.test(term) ? term.slice(1) : term;
    const factor = component(body, table);
    if (factor === undefined) return undefined;
    unit = times(unit, factor, divides ? -1 : 1);
  }
  return unit;
}

/** An atom with prefix and exponent, or a number. */
function component(body: string, table: AtomTable): Unit | undefined {
  if (/^\d+$/.test(body)) return { dimension: NONE, factor: Number(body), offset: 0 };
  const power = /^10[*^]([+-]?\d+)?$/.exec(body);
  if (power !== null) return { dimension: NONE, factor: 10 ** Number(power[1] ?? 1), offset: 0 };
  const match = /^(.*?[^\d+-])([+-]?\d+)?$/.exec(body);
  if (match === null) return undefined;
  const [, name = '', exponent = '1'] = match;
  const atom = table.get(name)?.unit ?? prefixed(name, table);
  return atom && times({ dimension: NONE, factor: 1, offset: 0 }, atom, Number(exponent));
}

function prefixed(name: string, table: AtomTable): Unit | undefined {
  for (const [prefix, factor] of PREFIXES) {
    const atom = name.startsWith(prefix) ? table.get(name.slice(prefix.length)) : undefined;
    if (atom?.metric === true) return { ...atom.unit, factor: atom.unit.factor * factor };
  }
  return undefined;
}

function times(unit: Unit, other: Unit, exponent: number): Unit {
  return {
    dimension: unit.dimension.map((base, index) => base + (other.dimension[index] as number) * exponent),
    factor: unit.factor * other.factor ** exponent,
    offset: 0,
  };
}

function buildTable(): AtomTable {
  const table = new Map<string, { readonly unit: Unit; readonly metric: boolean }>();
  for (const base of BASES) {
    table.set(base, { unit: { dimension: only(base), factor: 1, offset: 0 }, metric: true });
  }
  const define = (atoms: typeof METRIC, metric: boolean): void => {
    for (const [code, factor, definition] of atoms) {
      const of = parseWith(definition, table) as Unit;
      table.set(code, { unit: { ...of, factor: of.factor * factor }, metric });
    }
  };
  define(METRIC, true);
  define(CUSTOMARY, false);
  return table;
}

function only(base: (typeof BASES)[number]): Dimension {
  return BASES.map((name) => (name === base ? 1 : 0));
}
