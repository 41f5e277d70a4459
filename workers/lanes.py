"""Sixteen float32 lanes as a numba value: the SIMD arithmetic that the CPU kernels are written in.

LLVM turns one <16 x float> into one AVX-512, two AVX2 or four NEON registers, so a kernel in these terms is
vectorised by construction on every machine, with the same order of additions whatever the pack around it.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel, register_default
from numba.extending import intrinsic

LANES, LANES_LOG2 = 16, 4

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)


class _FloatLanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="FloatLanes")


class _IntLanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="IntLanes")


class _BitLanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="BitLanes")


float_lanes, int_lanes, bit_lanes = _FloatLanes(), _IntLanes(), _BitLanes()


@register_default(_FloatLanes)
class _FloatModel(PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _FLOATS)


@register_default(_IntLanes)
class _IntModel(PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _INTS)


@register_default(_BitLanes)
class _BitModel(PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _BITS)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: ir.Type) -> Any:
    flat = context.make_array(array_type)(context, builder, array)
    return builder.bitcast(builder.gep(flat.data, [index]), vector.as_pointer())


def _splat(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Lanes array[index : index + 16] of a flat float32 (or int32) array."""
    is_float = array.dtype == types.float32
    vector, result = (_FLOATS, float_lanes) if is_float else (_INTS, int_lanes)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1], vector), align=4)

    return result(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write lanes to array[index : index + 16] of a flat array."""
    vector = _FLOATS if value == float_lanes else _INTS

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1], vector)
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """The same float32 in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0], _FLOATS)

    return float_lanes(types.float32), codegen


@intrinsic
def splat_int(typingctx: Any, value: Any) -> Any:
    """The same int32 in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0], _INTS)

    return int_lanes(types.int32), codegen


@intrinsic
def broadcast(typingctx: Any, array: Any, index: Any) -> Any:
    """The number array[index] of a flat float32 (or 32-bit integer) array in every lane; index must not be negative."""
    is_float = array.dtype == types.float32
    vector, result = (_FLOATS, float_lanes) if is_float else (_INTS, int_lanes)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # Without numba's own indexing: its test for negative indices halved the encoder's speed (docs/performance.md).
        flat = context.make_array(signature.args[0])(context, builder, args[0])
        return _splat(builder, builder.load(builder.gep(flat.data, [args[1]])), vector)

    return result(array, types.intp), codegen


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function_type = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fma.v{LANES}f32")
        return builder.call(function, args)

    return float_lanes(float_lanes, float_lanes, float_lanes), codegen


def _binary(name: str, emit: Any, result: Any = float_lanes) -> Any:
    def typer(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args[0], args[1])

        return result(float_lanes, float_lanes), codegen

    typer.__name__ = name
    return intrinsic(typer)


add = _binary("add", lambda builder, a, b: builder.fadd(a, b))
subtract = _binary("subtract", lambda builder, a, b: builder.fsub(a, b))
multiply = _binary("multiply", lambda builder, a, b: builder.fmul(a, b))
divide = _binary("divide", lambda builder, a, b: builder.fdiv(a, b))
greater = _binary("greater", lambda builder, a, b: builder.fcmp_ordered(">", a, b), bit_lanes)
at_least = _binary("at_least", lambda builder, a, b: builder.fcmp_ordered(">=", a, b), bit_lanes)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


# One instruction each; where a is not a number, both give b.
larger = _binary("larger", _larger)
smaller = _binary("smaller", _smaller)


@intrinsic
def words_at_most(typingctx: Any, a: Any, b: Any) -> Any:
    """Lane-wise a <= b of unsigned 32-bit words."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.icmp_unsigned("<=", args[0], args[1])

    return bit_lanes(int_lanes, int_lanes), codegen


@intrinsic
def square_root(typingctx: Any, a: Any) -> Any:
    """Lane-wise square root."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function_type = ir.FunctionType(_FLOATS, [_FLOATS])
        function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.sqrt.v{LANES}f32")
        return builder.call(function, args)

    return float_lanes(float_lanes), codegen


@intrinsic
def choose(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """Lane-wise a where the condition holds, else b."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return a(bit_lanes, a, a), codegen


@intrinsic
def any_lane(typingctx: Any, condition: Any) -> Any:
    """Whether the condition holds in any lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(bit_lanes), codegen


@intrinsic
def transpose_tile(typingctx: Any, rows: Any, start: Any, stride: Any, out: Any, at: Any) -> Any:
    """Sixteen columns of sixteen rows, from rows[start] on and `stride` apart, as sixteen rows from out[at] on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, start, stride, out, at = args
        tile = []
        for i in range(LANES):
            place = builder.add(start, builder.mul(stride, ir.Constant(stride.type, i)))
            tile.append(builder.load(_pointer(context, builder, signature.args[0], array, place, _FLOATS), align=4))
        for size in (8, 4, 2, 1):  # swap the off-diagonal blocks of this size, in blocks of twice the size
            for i in (i for i in range(LANES) if not i & size):
                upper = [j if not j & size else LANES + j - size for j in range(LANES)]
                lower = [j + size if not j & size else LANES + j for j in range(LANES)]
                tile[i], tile[i + size] = (
                    builder.shuffle_vector(
                        tile[i], tile[i + size], ir.Constant(ir.VectorType(ir.IntType(32), LANES), way)
                    )
                    for way in (upper, lower)
                )
        for i in range(LANES):
            place = builder.add(at, ir.Constant(at.type, i * LANES))
            builder.store(tile[i], _pointer(context, builder, signature.args[3], out, place, _FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(rows, types.intp, types.intp, out, types.intp), codegen


@intrinsic
def lane_bits(typingctx: Any, condition: Any) -> Any:
    """The lanes in which the condition holds, as the low 16 bits of an integer; lane 0 is the lowest."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return types.int64(bit_lanes), codegen


@intrinsic
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set; bits must not be 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@intrinsic
def has_wide_registers(typingctx: Any) -> Any:
    """Whether the 16 lanes are one register here (AVX-512), known when the kernel is compiled."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        features = context.codegen().magic_tuple()[-1]
        return ir.Constant(ir.IntType(1), int("+avx512f" in str(features)))

    return types.boolean(), codegen


@intrinsic
def total(typingctx: Any, a: Any) -> Any:
    """Sum over the lanes, as a balanced tree (a fixed order of additions)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, width = args[0], LANES
        while width > 1:
            width //= 2
            kind = ir.VectorType(ir.IntType(32), width)
            undefined = ir.Constant(value.type, ir.Undefined)
            low = builder.shuffle_vector(value, undefined, ir.Constant(kind, list(range(width))))
            high = builder.shuffle_vector(value, undefined, ir.Constant(kind, list(range(width, 2 * width))))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float32(float_lanes), codegen
