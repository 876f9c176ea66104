//! Bytes of the app, as UniFFI's `bytes`, copied at most once on their way.
//!
//! A `Vec<u8>` is read and written byte by byte, and is not what the core works with. What comes in as an
//! argument here keeps the buffer that it came in; what goes out is copied into the answer and nowhere else.

use bytes::{Buf, BufMut, Bytes};
use uniffi::deps::anyhow::{Result, ensure};
use uniffi::{FfiConverter, MetadataBuffer, RustBuffer, TypeId};

/// A length as 32 bits, then so many bytes.
const HEAD: usize = size_of::<i32>();

/// Bytes from the app or for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawBytes(pub Bytes);

/// Takes the length, and sees that so many bytes are there.
fn length(buf: &mut &[u8]) -> Result<usize> {
    ensure!(buf.len() >= HEAD, "bytes without their length");
    let length = usize::try_from(buf.get_i32())?;
    ensure!(buf.len() >= length, "fewer bytes than their length says");
    Ok(length)
}

// SAFETY: written and read as UniFFI does a sequence of bytes, whose type it is given.
unsafe impl FfiConverter<crate::UniFfiTag> for RawBytes {
    type FfiType = RustBuffer;

    const TYPE_ID_META: MetadataBuffer = <Vec<u8> as TypeId<crate::UniFfiTag>>::TYPE_ID_META;

    fn lower(obj: Self) -> RustBuffer {
        let mut buf = Vec::with_capacity(HEAD + obj.0.len());
        <Self as FfiConverter<crate::UniFfiTag>>::write(obj, &mut buf);
        RustBuffer::from_vec(buf)
    }

    fn try_lift(buffer: RustBuffer) -> Result<Self> {
        let mut bytes = Bytes::from(buffer.destroy_into_vec());
        let length = length(&mut &bytes[..])?;
        bytes.advance(HEAD);
        ensure!(bytes.len() == length, "more bytes than their length says");
        Ok(Self(bytes))
    }

    fn write(obj: Self, buf: &mut Vec<u8>) {
        // Nothing here comes near 2 GiB: queues and chunks are bounded far below.
        let length = i32::try_from(obj.0.len()).unwrap_or(0);
        buf.put_i32(length);
        buf.extend_from_slice(&obj.0[..length.unsigned_abs() as usize]);
    }

    fn try_read(buf: &mut &[u8]) -> Result<Self> {
        let length = length(buf)?;
        let bytes = Bytes::copy_from_slice(&buf[..length]);
        buf.advance(length);
        Ok(Self(bytes))
    }
}

uniffi::derive_ffi_traits!(local RawBytes);

#[cfg(test)]
mod tests {
    use super::*;
    use uniffi::{Lift, Lower};

    type Tag = crate::UniFfiTag;

    #[test]
    fn it_is_written_as_a_sequence_of_bytes_and_comes_back() {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        <RawBytes as Lower<Tag>>::write(RawBytes(Bytes::from_static(b"abc")), &mut ours);
        <Vec<u8> as Lower<Tag>>::write(b"abc".to_vec(), &mut theirs);
        assert_eq!(ours, theirs);
        let mut rest = &ours[..];
        assert_eq!(<RawBytes as Lift<Tag>>::try_read(&mut rest).unwrap().0, "abc");
        assert!(rest.is_empty());
        let lifted = <RawBytes as Lift<Tag>>::try_lift(RustBuffer::from_vec(ours)).unwrap();
        assert_eq!(lifted.0, "abc");
    }

    #[test]
    fn what_is_too_short_or_too_long_is_refused() {
        for broken in [&b"\0\0"[..], b"\0\0\0\x02a", b"\xff\xff\xff\xffa", b"\0\0\0\x01ab"] {
            let buffer = RustBuffer::from_vec(broken.to_vec());
            assert!(<RawBytes as Lift<Tag>>::try_lift(buffer).is_err());
        }
    }
}
