// Parses texts with Rocket.Chat's own parser: a file with a list of {text, dollar} in, one tree a line out, normalised so
// that only what is shown counts: neighbouring texts joined, empty ones left out, code by its lines.
import fs from 'node:fs';

const [modules, jobs] = process.argv.slice(2);
const source = fs.readFileSync(`${modules}/@rocket.chat/message-parser/dist/messageParser.js`);
// The package is an ES module that does not say so.
const { parse } = await import(`data:text/javascript;base64,${source.toString('base64')}`);

function list(nodes) {
	const out = [];
	for (const node of nodes.flat().map(tree)) {
		const last = out.at(-1);
		if (node.type !== 'PLAIN_TEXT') out.push(node);
		else if (last?.type === 'PLAIN_TEXT') last.value += node.value;
		else if (node.value !== '') out.push({ ...node });
	}
	return out;
}

function tree(node) {
	const { type, value } = node;
	switch (type) {
		case 'LINK':
		case 'IMAGE':
			return { type, src: value.src.value, label: list([].concat(value.label)) };
		case 'CODE':
			return { type, language: node.language, value: value.map((line) => line.value.value).join('\n') };
		case 'INLINE_CODE':
		case 'MENTION_USER':
		case 'MENTION_CHANNEL':
			return { type, value: value.value };
		case 'EMOJI':
			return node.unicode === undefined
				? { type, value: value.value, shortCode: node.shortCode }
				: { type, unicode: node.unicode };
		case 'COLOR':
			return { type, value: [value.r, value.g, value.b, value.a] };
		case 'TIMESTAMP':
			return { type, timestamp: Number(value.timestamp), format: value.format };
		case 'LINE_BREAK':
			return { type };
		default: {
			const out = { type };
			for (const key of ['level', 'status', 'number']) if (node[key] !== undefined) out[key] = node[key];
			out.value = typeof value === 'string' ? value : list(value);
			return out;
		}
	}
}

const lines = JSON.parse(fs.readFileSync(jobs, 'utf8')).map(({ text, dollar }) => {
	// The package keeps from one text to the next whether an emoji may follow; this leaves it as at its beginning.
	parse('_a_ *a*', {});
	try {
		const katex = { dollarSyntax: dollar, parenthesisSyntax: true };
		return JSON.stringify(list(parse(text, { colors: true, emoticons: true, katex, customDomains: [] })));
	} catch (error) {
		return JSON.stringify({ error: String(error) });
	}
});
process.stdout.write(`${lines.join('\n')}\n`);
