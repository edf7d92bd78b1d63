//! Porter's dtypes and PJRT's.

use pjrt_sys::PJRT_Buffer_Type;
use porter_ir::DType;

/// The C API's number for `dtype`.
pub(crate) const fn to_raw(dtype: DType) -> PJRT_Buffer_Type {
    match dtype {
        DType::Bool => pjrt_sys::PJRT_Buffer_Type_PRED,
        DType::I4 => pjrt_sys::PJRT_Buffer_Type_S4,
        DType::I8 => pjrt_sys::PJRT_Buffer_Type_S8,
        DType::I16 => pjrt_sys::PJRT_Buffer_Type_S16,
        DType::I32 => pjrt_sys::PJRT_Buffer_Type_S32,
        DType::I64 => pjrt_sys::PJRT_Buffer_Type_S64,
        DType::U4 => pjrt_sys::PJRT_Buffer_Type_U4,
        DType::U8 => pjrt_sys::PJRT_Buffer_Type_U8,
        DType::U16 => pjrt_sys::PJRT_Buffer_Type_U16,
        DType::U32 => pjrt_sys::PJRT_Buffer_Type_U32,
        DType::U64 => pjrt_sys::PJRT_Buffer_Type_U64,
        DType::F4E2M1FN => pjrt_sys::PJRT_Buffer_Type_F4E2M1FN,
        DType::F8E4M3FN => pjrt_sys::PJRT_Buffer_Type_F8E4M3FN,
        DType::F8E5M2 => pjrt_sys::PJRT_Buffer_Type_F8E5M2,
        DType::BF16 => pjrt_sys::PJRT_Buffer_Type_BF16,
        DType::F16 => pjrt_sys::PJRT_Buffer_Type_F16,
        DType::F32 => pjrt_sys::PJRT_Buffer_Type_F32,
        DType::F64 => pjrt_sys::PJRT_Buffer_Type_F64,
    }
}

/// The dtype of a C API number; `None` for the types that Porter has no use for (complex, other
/// 8-bit floats, 2-bit integers, tokens).
pub(crate) fn from_raw(raw: PJRT_Buffer_Type) -> Option<DType> {
    DType::ALL.into_iter().find(|&dtype| to_raw(dtype) == raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_has_a_number_of_its_own() {
        for dtype in DType::ALL {
            assert_eq!(from_raw(to_raw(dtype)), Some(dtype));
        }
        assert_eq!(from_raw(pjrt_sys::PJRT_Buffer_Type_C64), None);
        assert_eq!(from_raw(pjrt_sys::PJRT_Buffer_Type_INVALID), None);
    }
}
