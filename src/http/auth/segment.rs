//! The parts of a token: base64url without padding.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The bytes of a part, or where it is wrong, as the reference says it.
pub fn decode(part: &str) -> Result<Vec<u8>, String> {
    ENGINE.decode(part).map_err(|_| {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        // All characters are fine, so the length is not.
        let at = part.bytes().position(|byte| !valid(byte)).unwrap_or(part.len().saturating_sub(1));
        format!("illegal base64 data at input byte {at}")
    })
}
