"""C source of one matrix-multiplication schedule, for sizes known when it is generated.

The tiled schedules have the shape of Goto and van de Geijn, "Anatomy of High-Performance Matrix
Multiplication" (ACM TOMS 34(3), 2008): cache tiles in any loop order, inside them register tiles
held in vector variables, and packed copies of A and B so that the innermost loop reads memory in
order. Vectors are gcc's own (`vector_size`), so one text serves every architecture.

All schedules export one function and take row-major matrices:

    int matmul(long m, long n, long k, const T *a, const T *b, T *c)   /* c = a b; 0 = done */

`b` must be readable for `PADDING_BYTES` past its end: the last register tile of a row may
read, but never uses, what lies beyond.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from targets.knobs import Configuration

NAIVE = "naive"

PADDING_BYTES = 1024
"""More than the widest register tile: 4 vectors of 64 bytes."""

ITEM_BYTES = {"float32": 4, "float64": 8}
_C_TYPES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The product to compute: c[m, n] = a[m, k] b[k, n] in `dtype` (float32 or float64)."""

    m: int
    n: int
    k: int
    dtype: str

    @property
    def name(self) -> str:
        """A name for the workload and for files."""
        return f"{self.m}x{self.n}x{self.k}-{self.dtype}"

    @property
    def operations(self) -> int:
        """Floating-point operations of one product."""
        return 2 * self.m * self.n * self.k


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The knobs that shape the source. Tiles are in elements, `register_columns` in vectors."""

    loop_order: str
    inner_order: str
    tile_m: int
    tile_n: int
    tile_k: int
    register_rows: int
    register_vectors: int
    vector_bits: int
    unroll: int
    prefetch: int
    pack: str
    threads: int
    split: str

    @classmethod
    def of(cls, configuration: Configuration) -> Self:
        """The schedule a configuration asks for; knobs that are no part of it are ignored."""
        return cls(**{name: configuration[name] for name in cls.__dataclass_fields__})  # type: ignore[arg-type]


def generate(problem: Problem, schedule: Schedule) -> str:
    """The C source of `schedule` for `problem`, ending in a newline."""
    if schedule.loop_order == NAIVE:
        return _naive(problem)
    return "\n".join(_Tiled(problem, schedule).lines()) + "\n"


def _naive(problem: Problem) -> str:
    """The triple loop of the textbooks: sizes are arguments, as in a library's function.

    That matters: told the sizes at compile time, gcc 12 vectorises the loop over j and is six
    times faster. To specialise is already a schedule.
    """
    return f"""\
int matmul(long m, long n, long k, const {_C_TYPES[problem.dtype]} *restrict a,
           const {_C_TYPES[problem.dtype]} *restrict b, {_C_TYPES[problem.dtype]} *restrict c)
{{
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++) {{
            {_C_TYPES[problem.dtype]} sum = 0;
            for (long l = 0; l < k; l++)
                sum += a[i * k + l] * b[l * n + j];
            c[i * n + j] = sum;
        }}
    return 0;
}}
"""


class _Tiled:
    """Writes one tiled schedule, function by function."""

    def __init__(self, problem: Problem, schedule: Schedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.lanes = schedule.vector_bits // 8 // ITEM_BYTES[problem.dtype]
        self.rows = min(schedule.register_rows, problem.m)
        self.columns = schedule.register_vectors * self.lanes
        self.pack_a = "a" in schedule.pack
        self.pack_b = "b" in schedule.pack

    def lines(self) -> Iterator[str]:
        yield from self._head()
        if self.pack_a:
            yield from _PACK_A.splitlines()
        if self.pack_b:
            yield from _PACK_B.splitlines()
        yield from self._micro_kernels()
        yield from self._tile()
        yield from self._region()
        yield from self._matmul()

    def _head(self) -> Iterator[str]:
        problem, schedule = self.problem, self.schedule
        # Register tiles must not straddle cache tiles, so cache tiles are whole numbers of them.
        tile_m = _round_up(min(schedule.tile_m, problem.m), self.rows)
        tile_n = _round_up(min(schedule.tile_n, problem.n), self.columns)
        tile_k = min(schedule.tile_k, problem.k)
        yield from (
            "#include <string.h>",
            *(("#include <omp.h>",) if schedule.threads > 1 else ()),
            "",
            f"typedef {_C_TYPES[problem.dtype]} T;",
            f"typedef T V __attribute__((vector_size({schedule.vector_bits // 8})));",
            f"typedef V U __attribute__((aligned({ITEM_BYTES[problem.dtype]}), may_alias));",
            "#define MINIMUM(x, y) ((x) < (y) ? (x) : (y))",
            "enum {",
            f"    M = {problem.m}, N = {problem.n}, K = {problem.k},",
            f"    TILE_M = {tile_m}, TILE_N = {tile_n}, TILE_K = {tile_k},",
            f"    ROWS = {self.rows}, COLUMNS = {self.columns}, LANES = {self.lanes},",
            f"    THREADS = {schedule.threads}",
            "};",
            "",
        )
        if self.pack_a:
            yield "static T packed_a[THREADS][TILE_M * TILE_K] __attribute__((aligned(64)));"
        if self.pack_b:
            yield "static T packed_b[THREADS][TILE_N * TILE_K] __attribute__((aligned(64)));"

    def _micro_kernels(self) -> Iterator[str]:
        """One function for whole register tiles and one for each kind of rest at an edge."""
        for name, rows, columns in self._shapes():
            yield from self._micro_kernel(name, rows, columns)

    def _shapes(self) -> list[tuple[str, int, int]]:
        rest_rows = self.problem.m % self.rows
        rest_columns = self.problem.n % self.columns
        shapes = [("inner", self.rows, self.columns)]
        if rest_rows:
            shapes.append(("bottom", rest_rows, self.columns))
        if rest_columns:
            shapes.append(("right", self.rows, rest_columns))
        if rest_rows and rest_columns:
            shapes.append(("corner", rest_rows, rest_columns))
        return shapes

    def _micro_kernel(self, name: str, rows: int, columns: int) -> Iterator[str]:
        vectors = range(-(-columns // self.lanes))
        tile = [(i, j) for i in range(rows) for j in vectors]
        a_element = "a[l * ROWS + {}]" if self.pack_a else "a[{} * K + l]"
        b_row = "COLUMNS" if self.pack_b else "N"
        yield ""
        yield f"static void {name}(const T *a, const T *b, T *c, long depth, int add)"
        yield "{"
        yield "    V " + ", ".join(f"s{i}_{j} = {{0}}" for i, j in tile) + ";"
        yield f"    #pragma GCC unroll {self.schedule.unroll}"
        yield "    for (long l = 0; l < depth; l++) {"
        for j in vectors:
            yield f"        const V b{j} = *(const U *)(b + l * {b_row} + {j} * LANES);"
        if self.schedule.prefetch:
            for j in vectors:
                yield (
                    f"        __builtin_prefetch(b + (l + {self.schedule.prefetch}) * {b_row}"
                    f" + {j} * LANES);"
                )
        for i in range(rows):
            yield f"        const T a{i} = {a_element.format(i)};"
            yield "        " + " ".join(f"s{i}_{j} += a{i} * b{j};" for j in vectors)
        yield "    }"
        yield from self._store(rows, columns)
        yield "}"

    def _store(self, rows: int, columns: int) -> Iterator[str]:
        """Write a register tile to c; what does not fill a vector goes element by element."""
        vectors = range(columns // self.lanes)
        rest = columns % self.lanes
        last = len(vectors)
        yield "    if (add) {"
        for i in range(rows):
            for j in vectors:
                yield f"        s{i}_{j} += *(U *)(c + {i} * N + {j} * LANES);"
            if rest:
                yield f"        for (long r = 0; r < {rest}; r++)"
                yield f"            s{i}_{last}[r] += c[{i} * N + {last} * LANES + r];"
        yield "    }"
        for i in range(rows):
            for j in vectors:
                yield f"    *(U *)(c + {i} * N + {j} * LANES) = s{i}_{j};"
            if rest:
                yield f"    for (long r = 0; r < {rest}; r++)"
                yield f"        c[{i} * N + {last} * LANES + r] = s{i}_{last}[r];"

    def _tile(self) -> Iterator[str]:
        """Walk the register tiles of one cache tile."""
        loops = {
            "m": "for (long i = 0; i < rows; i += ROWS)",
            "n": "for (long j = 0; j < columns; j += COLUMNS)",
        }
        outer, inner = list(self.schedule.inner_order)
        a_tile = "a + i * depth" if self.pack_a else "a + i * K"
        b_tile = "b + j * depth" if self.pack_b else "b + j"
        yield ""
        yield "static void tile(const T *a, const T *b, T *c, long rows, long columns, long depth,"
        yield "                 int add)"
        yield "{"
        yield f"    {loops[outer]}"
        yield f"        {loops[inner]} {{"
        yield f"            const T *at_a = {a_tile}, *at_b = {b_tile};"
        yield "            T *at_c = c + i * N + j;"
        tests = {
            "corner": "rows - i < ROWS && columns - j < COLUMNS",
            "bottom": "rows - i < ROWS",
            "right": "columns - j < COLUMNS",
        }
        for name, _, _ in reversed(self._shapes()[1:]):
            yield f"            if ({tests[name]}) {{"
            yield f"                {name}(at_a, at_b, at_c, depth, add);"
            yield "                continue;"
            yield "            }"
        yield "            inner(at_a, at_b, at_c, depth, add);"
        yield "        }"
        yield "}"

    def _region(self) -> Iterator[str]:
        """Walk the cache tiles of one thread's part, packing as soon as a tile is known."""
        loops = {
            "m": ("m0", "m1", "rows", "TILE_M"),
            "n": ("n0", "n1", "columns", "TILE_N"),
            "k": ("0", "K", "depth", "TILE_K"),
        }
        yield ""
        yield "static void region(const T *a, const T *b, T *c, long m0, long m1, long n0, long n1,"
        yield "                   int thread)"
        yield "{"
        indent = "    "
        done = ""
        for axis in self.schedule.loop_order:
            low, high, length, step = loops[axis]
            at = f"{axis}_at"
            yield f"{indent}for (long {at} = {low}; {at} < {high}; {at} += {step}) {{"
            indent += "    "
            yield f"{indent}const long {length} = MINIMUM({step}, {high} - {at});"
            done += axis
            if self.pack_a and axis in "mk" and {"m", "k"} <= set(done):
                yield f"{indent}pack_a(packed_a[thread], a + m_at * K + k_at, rows, depth);"
            if self.pack_b and axis in "kn" and {"k", "n"} <= set(done):
                yield f"{indent}pack_b(packed_b[thread], b + k_at * N + n_at, columns, depth);"
        a_tile = "packed_a[thread]" if self.pack_a else "a + m_at * K + k_at"
        b_tile = "packed_b[thread]" if self.pack_b else "b + k_at * N + n_at"
        yield f"{indent}tile({a_tile}, {b_tile}, c + m_at * N + n_at,"
        yield f"{indent}     rows, columns, depth, k_at > 0);"
        while len(indent) > 4:
            indent = indent[4:]
            yield f"{indent}}}"
        yield "}"

    def _matmul(self) -> Iterator[str]:
        yield ""
        yield "int matmul(long m, long n, long k, const T *a, const T *b, T *c)"
        yield "{"
        yield "    if (m != M || n != N || k != K)"
        yield "        return 1; /* made for other sizes */"
        if self.schedule.threads == 1:
            yield "    region(a, b, c, 0, M, 0, N, 0);"
        else:
            # Threads part the register tiles of one axis evenly, so no two write one element.
            size, step = ("M", "ROWS") if self.schedule.split == "m" else ("N", "COLUMNS")
            span = "from, to, 0, N" if self.schedule.split == "m" else "0, M, from, to"
            yield "    #pragma omp parallel num_threads(THREADS)"
            yield "    {"
            yield "        const long thread = omp_get_thread_num(), team = omp_get_num_threads();"
            yield f"        const long tiles = ({size} + {step} - 1) / {step};"
            yield f"        const long from = tiles * thread / team * {step};"
            yield f"        const long to = MINIMUM({size}, tiles * (thread + 1) / team * {step});"
            yield f"        region(a, b, c, {span}, thread);"
            yield "    }"
        yield "    return 0;"
        yield "}"


# A packed tile is a sequence of panels, each as wide as a register tile and laid out along k. A
# panel at the matrix's edge keeps its full width; its rest is never read into a result.
_PACK_A = """
static void pack_a(T *to, const T *a, long rows, long depth)
{
    for (long i = 0; i < rows; i += ROWS, to += ROWS * depth)
        for (long r = 0; r < MINIMUM(ROWS, rows - i); r++)
            for (long l = 0; l < depth; l++)
                to[l * ROWS + r] = a[(i + r) * K + l];
}
"""
_PACK_B = """
static void pack_b(T *to, const T *b, long columns, long depth)
{
    for (long j = 0; j < columns; j += COLUMNS, to += COLUMNS * depth)
        for (long l = 0; l < depth; l++)
            memcpy(to + l * COLUMNS, b + l * N + j, MINIMUM(COLUMNS, columns - j) * sizeof(T));
}
"""


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
