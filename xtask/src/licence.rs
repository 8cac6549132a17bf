//! Whether a dependency's licence lets us ship it: a small evaluator of SPDX expressions.

use anyhow::{Result, bail};

/// Licences that ask for no more than a notice. The MPL-2.0 is left out until something needs it: it asks that its
/// files stay available, which is for a person to decide.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether one of the choices that the expression leaves is allowed.
pub(crate) fn is_allowed(expression: &str) -> Result<bool> {
    let mut parser = Parser {
        tokens: tokens(expression),
        at: 0,
    };
    let allowed = parser.any()?;
    if let Some(rest) = parser.peek() {
        bail!("`{rest}` is one too many in the licence `{expression}`");
    }
    Ok(allowed)
}

/// Cargo once separated alternatives by a slash; some packages still do.
fn tokens(expression: &str) -> Vec<String> {
    expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ")
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<bool> {
        let mut allowed = self.all()?;
        while self.takes("OR") {
            // Not `||`: the other side has to be read even when it cannot change the answer.
            allowed |= self.all()?;
        }
        Ok(allowed)
    }

    fn all(&mut self) -> Result<bool> {
        let mut allowed = self.one()?;
        while self.takes("AND") {
            allowed &= self.one()?;
        }
        Ok(allowed)
    }

    fn one(&mut self) -> Result<bool> {
        if self.takes("(") {
            let allowed = self.any()?;
            if !self.takes(")") {
                bail!("a licence lacks a closing parenthesis");
            }
            return Ok(allowed);
        }
        let mut name = self.name()?;
        if self.takes("WITH") {
            name = format!("{name} WITH {}", self.name()?);
        }
        Ok(ALLOWED
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&name)))
    }

    fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(token) if !matches!(token, "AND" | "OR" | "WITH" | "(" | ")") => {
                let name = token.to_owned();
                self.at += 1;
                Ok(name)
            }
            Some(token) => bail!("`{token}` stands where a licence's name should be"),
            None => bail!("a licence ends too early"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    fn check(expression: &str, expected: bool) {
        assert_eq!(is_allowed(expression).unwrap(), expected, "{expression}");
    }

    #[test]
    fn one_name() {
        check("MIT", true);
        check("GPL-3.0-only", false);
        check("mit", true);
    }

    #[test]
    fn one_allowed_alternative_is_enough() {
        check("MIT OR GPL-2.0-only", true);
        check("LGPL-2.1-or-later OR GPL-2.0-only OR Zlib", true);
        check("GPL-2.0-only OR LGPL-2.1-or-later", false);
    }

    #[test]
    fn both_parts_have_to_be_allowed() {
        check("Apache-2.0 AND ISC", true);
        check("MIT AND GPL-2.0-only", false);
    }

    #[test]
    fn and_binds_tighter_than_or() {
        check("GPL-2.0-only AND MIT OR ISC", true);
        check("ISC OR MIT AND GPL-2.0-only", true);
        check("(ISC OR MIT) AND GPL-2.0-only", false);
        check("(MIT OR Apache-2.0) AND Unicode-3.0", true);
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        check("Apache-2.0 WITH LLVM-exception", true);
        check("GPL-2.0-only WITH Classpath-exception-2.0", false);
        check("MIT WITH LLVM-exception", false);
        check("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", true);
    }

    #[test]
    fn a_slash_is_an_old_or() {
        check("MIT/Apache-2.0", true);
        check("GPL-2.0-only/MIT", true);
        check("GPL-2.0-only / LGPL-3.0-only", false);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for expression in [
            "",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT Apache-2.0",
            "AND MIT",
            "MIT WITH",
        ] {
            assert!(is_allowed(expression).is_err(), "{expression}");
        }
    }
}
