//! A job's params: how they are written to the table, read from it, and tell their type.

use std::{collections::HashMap, error::Error as StdError, fmt};

use postgres_types::{FromSql, Type};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::text::Printable;

/// How a queue keeps its params.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamsKind {
    /// `jsonb`: readable everywhere.
    Json,
    /// `bytea`: MessagePack of a pair, the type's name (or nil) and the params.
    Binary,
}

/// Params as the table holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawParams {
    Json(String),
    Binary(Vec<u8>),
}

/// How errors of params begin whose rest quotes them.
pub(crate) const MISFIT: &str = "params do not fit the handler's type";

/// Params that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// serde could not turn them into JSON.
    #[error("could not write the params as JSON")]
    WriteJson(#[source] serde_json::Error),
    /// serde could not turn them into MessagePack.
    #[error("could not write the params as MessagePack")]
    WriteBinary(#[source] rmp_serde::encode::Error),
    /// A type's name was given for params that are no JSON object.
    #[error("params with a type must be a JSON object, to hold it under \"type\": give a struct or a map")]
    NoObject,
    /// They are not what the handler expects.
    #[error("{MISFIT} at `{path}`: {reason}")]
    Read {
        /// Where the fault is, `.` being the whole.
        path: String,
        /// What is wrong there.
        reason: String,
    },
}

impl RawParams {
    /// How many bytes they take.
    pub(crate) fn len(&self) -> usize {
        match self {
            RawParams::Json(text) => text.len(),
            RawParams::Binary(bytes) => bytes.len(),
        }
    }

    /// Writes `params` as JSON, `type` naming them where they are a struct or a name is given.
    pub(crate) fn json<T: Serialize + ?Sized>(kind: Option<&str>, params: &T) -> Result<Self, ParamsError> {
        let text = serde_json::to_string(params).map_err(ParamsError::WriteJson)?;
        let Some(kind) = kind.or_else(|| struct_name(params)) else {
            return Ok(RawParams::Json(text));
        };
        // A tuple or unit struct is no object; its queue dispatches without a type.
        let fields = text.strip_prefix('{').ok_or(ParamsError::NoObject)?;
        if has_type(&text) {
            return Ok(RawParams::Json(text));
        }
        let kind = serde_json::to_string(kind).map_err(ParamsError::WriteJson)?;
        let comma = if fields.trim_start().starts_with('}') { "" } else { "," };
        Ok(RawParams::Json([r#"{"type":"#, &kind, comma, fields].concat()))
    }

    /// Writes `params` as MessagePack beside their name.
    pub(crate) fn binary<T: Serialize + ?Sized>(kind: Option<&str>, params: &T) -> Result<Self, ParamsError> {
        let kind = kind.or_else(|| struct_name(params));
        rmp_serde::to_vec_named(&(kind, params)).map(RawParams::Binary).map_err(ParamsError::WriteBinary)
    }

    /// Reads the params back; an error names the path of the fault.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ParamsError> {
        match self {
            // The path is kept only for those that cannot be read, which is told by reading once more: every other job
            // would pay for it.
            RawParams::Json(text) => serde_json::from_str(text).or_else(|_| {
                let reader = &mut serde_json::Deserializer::from_str(text);
                serde_path_to_error::deserialize(reader).map_err(fault)
            }),
            RawParams::Binary(bytes) => {
                let pair: Result<(IgnoredAny, T), _> = rmp_serde::from_slice(bytes);
                let pair = pair.or_else(|_| {
                    let reader = &mut rmp_serde::Deserializer::new(&bytes[..]);
                    serde_path_to_error::deserialize(reader).map_err(fault)
                });
                pair.map(|(_kind, params)| params)
            }
        }
    }

    /// The type's name in binary params; JSON's is read by the database.
    pub(crate) fn binary_kind(&self) -> Option<String> {
        match self {
            RawParams::Json(_) => None,
            RawParams::Binary(bytes) => {
                // Only the head of the pair is read, whatever follows it.
                let mut reader = &bytes[..];
                (rmp_serde::decode::from_read::<_, PairHead>(&mut reader)).ok().and_then(|head| head.0)
            }
        }
    }

    pub(crate) fn kind(&self) -> ParamsKind {
        match self {
            RawParams::Json(_) => ParamsKind::Json,
            RawParams::Binary(_) => ParamsKind::Binary,
        }
    }
}

/// For the most talkative of logs; elsewhere params are not to be seen.
impl fmt::Display for RawParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawParams::Json(text) => Printable(text).fmt(f),
            RawParams::Binary(bytes) => bytes.escape_ascii().fmt(f),
        }
    }
}

fn fault<E: fmt::Display>(error: serde_path_to_error::Error<E>) -> ParamsError {
    ParamsError::Read { path: error.path().to_string(), reason: error.inner().to_string() }
}

/// Whether the object that this is has a `type`.
fn has_type(object: &str) -> bool {
    let fields = || serde_json::from_str::<HashMap<String, IgnoredAny>>(object);
    object.contains(r#""type""#) && fields().is_ok_and(|fields| fields.contains_key("type"))
}

/// The first of a pair, the second being of any type.
#[derive(serde::Deserialize)]
struct PairHead(Option<String>, #[allow(dead_code)] IgnoredAny);

impl<'a> FromSql<'a> for RawParams {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        if *ty == Type::BYTEA {
            return Ok(RawParams::Binary(raw.to_vec()));
        }
        // jsonb's wire format is a version byte and the text.
        match raw.split_first() {
            Some((1, text)) => Ok(RawParams::Json(std::str::from_utf8(text)?.to_owned())),
            _ => Err("unknown version of jsonb's wire format".into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB || *ty == Type::BYTEA
    }
}

/// The name that serde knows a struct by, `#[serde(rename)]` included; none for anything else.
///
/// Serializing tells the name before the first field, and that is where this serializer stops.
fn struct_name<T: Serialize + ?Sized>(value: &T) -> Option<&'static str> {
    match value.serialize(NameProbe) {
        Err(Probed(name)) => name,
        Ok(never) => match never {},
    }
}

enum Never {}
struct NameProbe;

#[derive(Debug)]
struct Probed(Option<&'static str>);

impl std::fmt::Display for Probed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("probed")
    }
}

impl StdError for Probed {}

impl serde::ser::Error for Probed {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Probed(None)
    }
}

/// Refuses every kind of value that has no struct's name.
macro_rules! nameless {
    ($($method:ident($($argument:ty),*)),* $(,)?) => {
        $(fn $method(self, $(_: $argument),*) -> Result<Never, Probed> { Err(Probed(None)) })*
    };
}

impl serde::Serializer for NameProbe {
    type Ok = Never;
    type Error = Probed;
    type SerializeSeq = serde::ser::Impossible<Never, Probed>;
    type SerializeTuple = serde::ser::Impossible<Never, Probed>;
    type SerializeTupleStruct = serde::ser::Impossible<Never, Probed>;
    type SerializeTupleVariant = serde::ser::Impossible<Never, Probed>;
    type SerializeMap = serde::ser::Impossible<Never, Probed>;
    type SerializeStruct = serde::ser::Impossible<Never, Probed>;
    type SerializeStructVariant = serde::ser::Impossible<Never, Probed>;

    nameless! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_f32(f32),
        serialize_f64(f64), serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]), serialize_none(),
        serialize_unit(), serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Never, Probed> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Never, Probed> {
        Err(Probed(None))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Never, Probed> {
        Err(Probed(None))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Probed> {
        Err(Probed(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Probed> {
        Err(Probed(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Probed> {
        Err(Probed(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Probed> {
        Err(Probed(None))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Probed> {
        Err(Probed(None))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeStruct, Probed> {
        // serde_json passes JSON that is written already through a struct of a name that is none.
        Err(Probed((!name.starts_with('$')).then_some(name)))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Probed> {
        Err(Probed(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::value::RawValue;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct SendEmail {
        to: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Mail {
        Welcome { to: String },
    }

    #[test]
    fn a_struct_names_its_own_type() {
        let params = RawParams::json(None, &SendEmail { to: "a".into() }).unwrap();

        assert_eq!(params, RawParams::Json(r#"{"type":"SendEmail","to":"a"}"#.into()));

        #[derive(Serialize)]
        struct Nothing {}
        let params = RawParams::json(Some("No \"thing\""), &Nothing {}).unwrap();
        assert_eq!(params, RawParams::Json(r#"{"type":"No \"thing\""}"#.into()));
        assert!(matches!(RawParams::json(Some("List"), &[1, 2]), Err(ParamsError::NoObject)));
        let written: &RawValue = serde_json::from_str(r#"{ "to": "a" }"#).unwrap();
        assert_eq!(RawParams::json(None, written).unwrap(), RawParams::Json(written.get().into()));
        let empty: &RawValue = serde_json::from_str("{ }").unwrap();
        assert_eq!(RawParams::json(Some("Empty"), empty).unwrap(), RawParams::Json(r#"{"type":"Empty" }"#.into()));
    }

    #[test]
    fn a_type_that_the_params_already_have_stands() {
        let params = RawParams::json(None, &Mail::Welcome { to: "a".into() }).unwrap();

        assert_eq!(params, RawParams::Json(r#"{"type":"Welcome","to":"a"}"#.into()));

        let null = RawParams::json(Some("Given"), &serde_json::json!({ "type": null })).unwrap();
        assert_eq!(null, RawParams::Json(r#"{"type":null}"#.into()));
        let deeper = RawParams::json(Some("Given"), &serde_json::json!({ "of": { "type": 1 }, "x": "type" })).unwrap();
        assert_eq!(deeper, RawParams::Json(r#"{"type":"Given","of":{"type":1},"x":"type"}"#.into()));
    }

    #[test]
    fn params_that_do_not_fit_name_the_path_of_the_fault() {
        #[derive(Debug, Deserialize)]
        #[allow(dead_code)]
        struct Order {
            items: Vec<SendEmail>,
        }

        let error = RawParams::Json(r#"{"items":[{"to":"a"},{"to":7}]}"#.into()).read::<Order>().unwrap_err();

        assert!(error.to_string().contains("`items[1].to`"), "{error}");
    }

    #[test]
    fn binary_params_keep_their_type_and_any_serde_value() {
        let params = RawParams::binary(None, &SendEmail { to: "a".into() }).unwrap();
        assert_eq!(params.binary_kind().as_deref(), Some("SendEmail"));
        assert_eq!(params.read::<SendEmail>().unwrap(), SendEmail { to: "a".into() });

        let tagged = RawParams::binary(Some("Mail"), &Mail::Welcome { to: "b".into() }).unwrap();
        assert_eq!(tagged.binary_kind().as_deref(), Some("Mail"));
        assert_eq!(tagged.read::<Mail>().unwrap(), Mail::Welcome { to: "b".into() });
    }

    #[test]
    fn binary_params_that_are_no_params_have_no_type_and_do_not_read() {
        let junk = RawParams::Binary(vec![0xc1, 0, 1]);

        assert_eq!(junk.binary_kind(), None);
        assert!(junk.read::<SendEmail>().is_err());
    }
}
