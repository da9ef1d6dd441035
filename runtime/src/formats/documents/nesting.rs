//! Where a JSON value ends, found by its brackets and quotes alone.

/// Where in a value a byte is.
#[derive(Default)]
pub(super) struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

/// Where the value is after a byte.
pub(super) enum Step {
    Within,
    EndsWith,
    EndsBefore,
}

impl Nesting {
    /// Whether the value is one that needs no end of its own: a number, `true`, `null`.
    pub(super) fn is_scalar(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    pub(super) fn take(&mut self, byte: u8) -> Step {
        let first = !std::mem::replace(&mut self.begun, true);
        if self.in_string {
            return self.take_in_string(byte);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return if self.depth == 0 { Step::EndsWith } else { Step::Within };
            }
            b',' | b']' if self.depth == 0 && !first => return Step::EndsBefore,
            byte if self.depth == 0 && byte.is_ascii_whitespace() => return Step::EndsBefore,
            _ => {}
        }
        Step::Within
    }

    fn take_in_string(&mut self, byte: u8) -> Step {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                return if self.depth == 0 { Step::EndsWith } else { Step::Within };
            }
            _ => {}
        }
        Step::Within
    }
}
