//! How messages become bytes: as prost writes them, and requests are read strictly.

use std::{fmt, marker::PhantomData};

use prost::{Message, Name, bytes::Buf as _};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{
    errors::{ApiError, ErrorCode},
    strict,
};

/// Writes as prost does. Reads what is named `…Request` strictly: what this version does
/// not know is refused, never ignored. Replies are read leniently, so that an older
/// client understands a newer server.
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for StrictCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StrictCodec")
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Writer<T>;
    type Decoder = Reader<U>;

    fn encoder(&mut self) -> Writer<T> {
        Writer(PhantomData)
    }

    fn decoder(&mut self) -> Reader<U> {
        Reader(PhantomData)
    }
}

/// Writes messages.
#[derive(Debug)]
pub struct Writer<T>(PhantomData<T>);

impl<T: Message> Encoder for Writer<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // Fails only where there is no space, and this buffer grows.
        item.encode(out).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Reads messages; requests strictly.
#[derive(Debug)]
pub struct Reader<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for Reader<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        if !U::NAME.ends_with("Request") {
            return match U::decode(bytes) {
                Ok(message) => Ok(Some(message)),
                Err(error) => Err(Status::internal(format!("the reply cannot be read: {error}"))),
            };
        }
        strict::check(&U::full_name(), &bytes)
            .map_err(|(field, problem)| ApiError::invalid(field, problem))?;
        let message = U::decode(bytes).map_err(|error| {
            ApiError::new(ErrorCode::InvalidArgument, format!("the request cannot be read: {error}"))
        })?;
        Ok(Some(message))
    }
}
