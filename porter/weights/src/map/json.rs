//! Types of porter-ir in the JSON of expressions: a dtype by its name, a shape as its sizes.

pub(super) mod dtype {
    use porter_ir::DType;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(in crate::map) fn serialize<S: Serializer>(dtype: &DType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(dtype.name())
    }

    pub(in crate::map) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DType, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

pub(super) mod shape {
    use porter_ir::Shape;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::map) fn serialize<S: Serializer>(shape: &Shape, to: S) -> Result<S::Ok, S::Error> {
        shape[..].serialize(to)
    }

    pub(in crate::map) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Shape, D::Error> {
        Vec::<usize>::deserialize(from).map(Shape::from)
    }
}
